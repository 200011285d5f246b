"""Which tests share a process when pytest-xdist divides them among several."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and all those of the finished run: it is made once."""
    for item in items:
        shared = {"finished", "reported"} & set(getattr(item, "fixturenames", ()))
        group = "finished run" if shared else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
