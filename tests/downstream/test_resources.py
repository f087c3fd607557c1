"""One resource has one key, by whatever name each server calls it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.config import Config, ServerSettings
from plait.core.tools.claims import MAX_KEY, ResourceName
from plait.downstream.resources import LATE_S, MAX_LINKS, MOST_LATE, Resources

from ..profiles import CHARACTERS

TREE = ("a/b/c", "a/.hidden", "x")
LINKS = {
    "a/up": "..",
    "a/b/far": "../../x",
    "x/back": "../a/b",
    "dangling": "nowhere/at/all",
    "x/loop": "loop",
}
NAMES = ["a", "b", "c", "x", "up", "far", "back", "dangling", ".hidden", "new", "..", ".", ""]


def located(resources: Resources, server: str, key: str) -> str:
    """The key of what *server* means by *key*."""
    name = ResourceName(server, key)
    found = resources.at_once(name) or resources.look_up(name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders, and links between them."""
    folder = tmp_path_factory.mktemp("tree").resolve()
    for name in TREE:
        (folder / name).mkdir(parents=True)
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)
    (folder / "absolute").symlink_to(folder / "a" / "b")
    return folder


@pytest.fixture(scope="module")
def resources(tree: Path) -> Resources:
    servers = {
        "here": ServerSettings(command="x", cwd=tree, env={"HOME": "/home/ada"}),
        "inner": ServerSettings(command="x", cwd=tree / "a" / "b"),
        "workspace": ServerSettings(builtin="workspace", root=tree / "x"),
        "web": ServerSettings(url="http://web.example/mcp"),
        "older": ServerSettings(url="http://web.example/sse", transport="sse"),
    }
    return Resources(Config(servers=servers))


def test_a_server_without_a_folder_resolves_paths_from_its_clients(tmp_path: Path):
    (home := tmp_path / "home").mkdir()
    (folder := tmp_path / "folder").mkdir()
    servers = {"s": ServerSettings(command="x")}
    config = Config(servers=servers, folder=folder, environment={"HOME": str(home)})
    resources = Resources(config)
    assert located(resources, "s", "file:x") == f"file:{folder.resolve()}/x"
    assert located(resources, "s", "file:~/x") == f"file:{home.resolve()}/x"


@pytest.mark.parametrize(
    ("server", "key", "place"),
    [
        ("here", "file:a/b", "a/b"),
        ("here", "file:./a//b/", "a/b"),
        ("here", "file:", ""),
        ("here", "file:.", ""),
        ("inner", "file:../../x", "x"),
        ("inner", "file:", "a/b"),
        ("workspace", "file:", "x"),
        ("workspace", "file:notes.txt", "x/notes.txt"),
        ("workspace", "file:~/notes.txt", "x/~/notes.txt"),
        ("here", "file:x/back/new.txt", "a/b/new.txt"),
        ("here", "file:absolute/c", "a/b/c"),
        ("here", "file:x/back/../new.txt", "a/new.txt"),
        ("here", "file:new/../a/up/x", "x"),
        ("here", "file:new/../x/back", "a/b"),
        ("here", "file:new/sub/../../new/../x/back/y", "a/b/y"),
        ("here", "file:new/../x/back/../y", "a/y"),
        ("here", "file:dangling/../../../x", "x"),
        ("here", "file:dangling", "nowhere/at/all"),
        ("here", "FILE:a", "a"),
        ("here", "file:ä ö", "ä ö"),
    ],
)
def test_a_path_is_resolved_in_the_folder_of_its_server_and_links_are_followed(
    resources: Resources, tree: Path, server: str, key: str, place: str
):
    assert located(resources, server, key) == f"file:{tree / place}"


@pytest.mark.parametrize(
    "write",
    [
        "file:{}/a/b%20c",
        "file://{}/a/b%2520c",
        "file:file://{}/a/b%2520c",
        "file://localhost{}/a/b%2520c",
        "file://{}/a/b%2520c?version=1#L10",
        "file:/{}/a/b%20c",
    ],
)
def test_a_uri_is_decoded_and_a_path_is_not(resources: Resources, tree: Path, write: str):
    assert located(resources, "here", write.format(tree)) == f"file:{tree}/a/b%20c"


@pytest.mark.parametrize(
    ("server", "key", "is_known"),
    [
        ("here", "file:a", False),
        ("here", "FILE:a", False),
        ("workspace", "file:a", False),
        ("web", "file:a", True),
        ("unknown", "file:a", True),
        ("here", "file:" + "x/" * MAX_KEY, True),
    ],
)
def test_only_files_of_this_machine_are_looked_up(
    resources: Resources, server: str, key: str, is_known: bool
):
    assert (resources.at_once(ResourceName(server, key)) is not None) == is_known


def test_a_server_removed_from_the_settings_has_files_of_its_own(tree: Path):
    resources = Resources(Config(servers={"s": ServerSettings(command="x", cwd=tree)}))
    resources.adopt([])
    assert resources.look_up(ResourceName("s", "file:a//b")) == "file@s:a/b"


@pytest.mark.parametrize(("path", "place"), [("~", "/home/ada"), ("~/x/../y", "/home/ada/y")])
def test_a_tilde_is_the_home_that_the_server_was_given(resources: Resources, path: str, place: str):
    assert located(resources, "here", f"file:{path}") == f"file:{place}"
    assert resources.path("here", path) == path.replace("~", "/home/ada")


def test_a_tilde_in_a_name_is_only_a_tilde(resources: Resources, tree: Path):
    assert located(resources, "here", "file:~ada/x") == f"file:{tree}/~ada/x"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("file:/srv/x/../y", "file@{}:/srv/y"),
        ("file:///srv/a%20b", "file@{}:/srv/a b"),
        ("file:notes//x.txt", "file@{}:notes/x.txt"),
        ("file:", "file@{}:"),
        ("file:.", "file@{}:"),
        (r"file:C:\Users\Ada", "file@{}:/c:/users/ada"),
        ("file:c:/users/ada/", "file@{}:/c:/users/ada"),
        ("file:///C:/Users/ada", "file@{}:/c:/users/ada"),
        (r"file:\\host\share\x", "file@{}:/host/share/x"),
        (r"file:/srv/a\b", r"file@{}:/srv/a\b"),
    ],
)
@pytest.mark.parametrize("server", ["web", "older", "unknown"])
def test_files_of_another_machine_are_its_own(
    resources: Resources, server: str, key: str, place: str
):
    assert located(resources, server, key) == place.format(server)
    assert resources.path(server, key) is None


def test_a_path_is_made_absolute_as_its_server_would(resources: Resources, tree: Path):
    assert resources.path("here", "x/back/y") == f"{tree}/x/back/y"
    assert resources.path("here", f"file://{tree}/a%20b") == f"{tree}/a b"
    assert resources.path("workspace", "/etc/hosts") == "/etc/hosts"


def test_links_are_looked_up_each_time(tmp_path: Path):
    resources = Resources(Config(servers={"s": ServerSettings(command="x", cwd=tmp_path)}))
    for target in ("one", "two"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        assert (
            located(resources, "s", "file:link/x")
            == f"file:{os.path.realpath(tmp_path)}/{target}/x"
        )


@settings(max_examples=500)
@given(names=st.lists(st.sampled_from(NAMES), max_size=12), is_absolute=st.booleans())
def test_a_path_leads_where_the_operating_system_says(
    resources: Resources, tree: Path, names: list[str], is_absolute: bool
):
    path = "/".join([*([str(tree)] if is_absolute else []), *names])
    assert located(resources, "here", f"file:{path}") == f"file:{os.path.realpath(tree / path)}"


@given(
    st.text(CHARACTERS, max_size=40),
    st.sampled_from(["file:", "file://", "file:///", "file:~", "FILE:"]),
)
def test_any_text_has_a_key_that_can_be_sent_and_is_its_own_key(
    resources: Resources, text: str, start: str
):
    for server in ("here", "web"):
        place = located(resources, server, start + text)
        assert place.encode()
        assert located(resources, server, start + text) == place


@pytest.mark.parametrize("text", ["nul\0l", "\ud800", "%ff%00", "x" * 300, "//", "%"])
@pytest.mark.parametrize("start", ["file:", "file://{}/", "file:/"])
def test_a_name_that_no_file_can_have_has_a_key_too(
    resources: Resources, tree: Path, start: str, text: str
):
    assert located(resources, "here", start.format(tree) + text).encode().startswith(b"file:/")


def test_names_that_are_not_utf8_have_different_keys(tree: Path, resources: Resources):
    one, other = (located(resources, "here", f"file://{tree}/{name}") for name in ("%fe", "%ff"))
    assert (one, other) == (f"file:{tree}/\\udcfe", f"file:{tree}/\\udcff")


@pytest.mark.parametrize(
    ("server", "key", "place"),
    [
        ("here", "file:" + "x/" * MAX_KEY, "file:"),
        ("web", "file:" + "x" * MAX_KEY, "file@web:"),
        ("here", "file:" + "é" * 4_000 + "/y" * 40, None),
    ],
)
def test_a_path_that_is_too_long_counts_as_the_whole_file_system(
    resources: Resources, tree: Path, server: str, key: str, place: str | None
):
    found = located(resources, server, key)
    assert found == place if place is not None else len(found) <= MAX_KEY


def test_a_key_is_never_longer_than_its_bound(resources: Resources):
    for length in range(MAX_KEY - 120, MAX_KEY + 3):
        assert len(located(resources, "here", "file:" + "y" * length)) <= MAX_KEY + len("file:")


def test_links_in_a_circle_end(resources: Resources, tree: Path):
    assert located(resources, "here", "file:x/loop/y").startswith(f"file:{tree}/x/")


def test_links_are_read_a_bounded_number_of_times(tmp_path: Path):
    """Each of these leads through the one before it twice: to follow them all would take 2 ** 60
    steps."""
    (tmp_path / "l0").mkdir()
    for number in range(60):
        (tmp_path / f"l{number + 1}").symlink_to(f"l{number}/../l{number}")
    read: list[str] = []

    def readlink(path: str) -> str:
        read.append(path)
        return os.readlink(path)

    resources = Resources(
        Config(servers={"s": ServerSettings(command="x", cwd=tmp_path)}), readlink=readlink
    )
    assert located(resources, "s", "file:l60").startswith("file:/")
    assert len(read) <= MAX_LINKS


def test_a_path_of_too_many_steps_counts_as_the_whole_file_system(tmp_path: Path):
    (tmp_path / "l0").mkdir()
    for number in range(6):
        (tmp_path / f"l{number + 1}").symlink_to("./" * 2_000 + f"l{number}")
    resources = Resources(Config(servers={"s": ServerSettings(command="x", cwd=tmp_path)}))
    assert located(resources, "s", "file:l1") == f"file:{tmp_path.resolve()}/l0"
    assert located(resources, "s", "file:l6") == "file:/"


def test_no_path_above_the_limit_is_looked_up():
    looked: list[str] = []

    def lstat(path: str) -> os.stat_result:
        looked.append(path)
        return os.stat("/")

    resources = Resources(
        Config(servers={"s": ServerSettings(command="x", cwd=Path("/" + "z" * 200))}), lstat=lstat
    )
    assert located(resources, "s", "file:" + "y/" * 2_000) == "file:/"
    assert max(map(len, looked)) <= MAX_KEY


def folding(folder: Path) -> Callable[[str], os.stat_result]:
    """An `lstat` as of a file system that folds letter case beneath *folder*."""

    def lstat(path: str) -> os.stat_result:
        place = folder
        if not path.startswith(f"{folder}/"):
            return os.lstat(path)
        for name in path.removeprefix(f"{folder}/").split("/"):
            found = [entry for entry in os.listdir(place) if entry.casefold() == name.casefold()]
            place = place / (found[0] if found else name)
        return on_device(os.lstat(place), 77)

    return lstat


def on_device(status: os.stat_result, device: int) -> os.stat_result:
    return os.stat_result([device if index == 2 else value for index, value in enumerate(status)])


@pytest.fixture
def folded(tmp_path: Path) -> tuple[Path, Resources]:
    """A volume that folds letter case, beneath a root that does not."""
    folder = tmp_path.resolve() / "Volume"
    (folder / "Docs" / "Old").mkdir(parents=True)
    (folder / "Docs" / "README.md").write_text("x")

    def lstat(path: str) -> os.stat_result:
        return on_device(os.lstat(path), 77) if path == str(folder) else folding(folder)(path)

    return folder, Resources(
        Config(servers={"s": ServerSettings(command="x", cwd=folder)}), lstat=lstat
    )


def test_letter_case_is_ignored_only_where_the_file_system_ignores_it(
    folded: tuple[Path, Resources],
):
    folder, resources = folded
    names = ["Docs/README.md", "docs/readme.MD", "DOCS/Old/../README.md", "./docs/Readme.md"]
    assert {located(resources, "s", f"file:{name}") for name in names} == {
        f"file:{folder}/docs/readme.md"
    }
    assert located(resources, "s", "file:DOCS/New/É.txt") == f"file:{folder}/docs/new/é.txt"
    assert located(resources, "s", "file:DOCS/New/E\u0301.txt") == f"file:{folder}/docs/new/é.txt"


def test_where_letter_case_counts_two_names_are_two_files(resources: Resources, tree: Path):
    assert located(resources, "here", "file:A/b") == f"file:{tree}/A/b"


@pytest.fixture
def other_device(tmp_path: Path) -> Resources:
    """A folder of a device of which nothing is known."""
    folder = str(tmp_path.resolve())
    return Resources(
        Config(servers={"s": ServerSettings(command="x", cwd=tmp_path)}),
        lstat=lambda path: on_device(os.lstat(path), 77 if path.startswith(folder) else 0),
    )


def test_two_links_to_one_file_prove_nothing_about_letter_case(
    tmp_path: Path, other_device: Resources
):
    (tmp_path / "readme").write_text("x")
    os.link(tmp_path / "readme", tmp_path / "README")
    assert len({located(other_device, "s", f"file:{name}") for name in ("readme", "README")}) == 2


def test_a_name_without_letters_proves_nothing_about_letter_case(
    tmp_path: Path, other_device: Resources
):
    (tmp_path / "2026").mkdir()
    assert (
        len({located(other_device, "s", f"file:2026/{name}") for name in ("readme", "README")}) == 2
    )


class Hanging:
    """An `lstat` that gives no answer for the paths in `stuck` before `release`, and a clock set by
    hand."""

    def __init__(self, *stuck: str) -> None:
        self.stuck = stuck
        self.waiting: list[str] = []
        self.lookups: list[Future[str | None]] = []
        self.now = 0.0
        self._changed = threading.Condition()
        self._is_released = False

    def lstat(self, path: str) -> os.stat_result:
        with self._changed:
            if path in self.stuck:
                self.waiting.append(path)
                self._changed.notify_all()
                assert self._changed.wait_for(lambda: self._is_released, 60)
        return os.lstat("/")

    def release(self) -> None:
        """Let all lookups end, and wait for that."""
        with self._changed:
            self._is_released = True
            self._changed.notify_all()
        assert {one.result(60) for one in self.lookups} == {f"file:{path}" for path in self.waiting}

    def wait_for(self, count: int) -> None:
        """Until so many threads wait."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.waiting) == count, 60)


@contextmanager
def hanging(*stuck: str) -> Iterator[tuple[Hanging, Callable[[str], str | None]]]:
    """A file system where looks at the paths *stuck* hang, each with a thread that waits there; and
    lookups on it."""
    files = Hanging(*stuck)
    resources = Resources(
        Config(servers={"s": ServerSettings(command="x")}), lstat=files.lstat, now=lambda: files.now
    )

    def look_up(path: str) -> str | None:
        return resources.look_up(ResourceName("s", f"file:{path}"))

    with ThreadPoolExecutor() as threads:
        for path in stuck:
            files.lookups.append(threads.submit(look_up, path))
            files.wait_for(len(files.lookups))
        files.now += LATE_S
        try:
            yield files, look_up
        finally:
            files.release()


def test_no_other_thread_waits_for_a_lookup_that_hangs():
    with hanging("/mnt/nfs") as (files, look_up):
        assert look_up("/mnt/nfs") is None
        assert look_up("/mnt/nfs/any/where") is None
        assert look_up("/mnt/other/x") == "file:/mnt/other/x"
        files.release()
        assert look_up("/mnt/nfs/any/where") == "file:/mnt/nfs/any/where"


def test_no_other_thread_looks_into_a_folder_where_several_lookups_hang():
    stuck = [f"/mnt/nfs/{number}" for number in range(MOST_LATE)]
    with hanging(*stuck[:-1]) as (files, look_up):
        assert look_up("/mnt/nfs/x") == "file:/mnt/nfs/x"
    with hanging(*stuck) as (files, look_up):
        assert look_up("/mnt/nfs/x") is None
        assert look_up("/mnt/other/x") == "file:/mnt/other/x"
        files.release()
        assert look_up("/mnt/nfs/x") == "file:/mnt/nfs/x"


def test_a_lookup_that_is_not_late_yet_stops_no_other():
    with hanging("/mnt/nfs") as (files, look_up):
        files.now -= LATE_S / 2
        files.stuck = ()
        assert look_up("/mnt/nfs/x") == "file:/mnt/nfs/x"
