"""Training of networks: loop, callbacks, checkpoints and hyperparameter scans."""
