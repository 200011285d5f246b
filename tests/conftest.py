"""Which tests share a process when pytest-xdist divides them among several."""

import pytest

FINISHED = "finished run"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and all those of the finished run: it is made once.

    What takes longest comes first, so that the processes end at about the same time.
    """
    groups = {}
    for item in items:
        shared = {"finished", "reported"} & set(getattr(item, "fixturenames", ()))
        groups[item] = FINISHED if shared else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(groups[item]))
    items.sort(key=lambda item: (groups[item] != FINISHED, "workflow/" not in item.nodeid))
