"""Downloads are continued where they broke, never spliced from two files."""

import numpy as np
import pytest

from driftpolicy.data.download import ATTEMPTS
from driftpolicy.data.files import write_npz

from .serving import NAME, NOTE, PART, TARGET, break_off, download, fetch, files, refused


def test_a_whole_file(server, tmp_path):
    seen = []
    path = fetch(server, tmp_path / "new", progress=lambda *numbers: seen.append(numbers))
    assert path == tmp_path / "new" / TARGET
    assert path.read_bytes() == server.body
    assert files(path.parent) == {TARGET}
    size = len(server.body)
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.requests[0]["path"] == f"/data/{NAME}.npz"


def test_a_task_name_means_its_dataset(server, tmp_path):
    path = download(
        "cube-single-play-singletask-task3-v0", folder=tmp_path, base_url=server.url + "/"
    )
    assert path == tmp_path / TARGET


def test_broken_connections_are_continued_where_they_broke(server, tmp_path):
    server.drops = [100_000, 0, 1, 300_000]
    assert fetch(server, tmp_path).read_bytes() == server.body
    starts = [request.get("Range") for request in server.requests]
    assert starts == [None, *(f"bytes={n}-" for n in (100_000, 100_000, 100_001, 400_001))]
    assert all(request["If-Range"] == '"one"' for request in server.requests[1:])
    assert server.sent == len(server.body)


def test_a_later_run_continues_the_part(server, tmp_path):
    server.drops = [100_000] + [0] * (ATTEMPTS - 1)
    text = refused(server, tmp_path, "the connection ended after 100000 of")
    assert len(server.requests) == ATTEMPTS
    assert "100 kB are kept" in text
    for way in ("dfp data collect", "--data"):
        assert way in text
    assert files(tmp_path) == {PART, NOTE}
    seen = []
    fetch(server, tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert seen[0] == (100_000, len(server.body))
    assert (tmp_path / TARGET).read_bytes() == server.body
    assert server.sent == len(server.body)
    assert files(tmp_path) == {TARGET}


def test_progress_renews_patience(server, tmp_path):
    server.drops = [50_000] * (ATTEMPTS + 4)
    assert fetch(server, tmp_path).read_bytes() == server.body


@pytest.mark.parametrize("validators", [("etag", "date"), ("etag",), ("date",)])
@pytest.mark.parametrize("honest", [True, False])
def test_a_changed_file_is_fetched_anew(server, contents, tmp_path, validators, honest):
    """Whether the server honours If-Range or answers with the new file's range."""
    server.etag = server.etag if "etag" in validators else None
    server.date = server.date if "date" in validators else None
    break_off(server, tmp_path)
    server.body = contents["two"]
    server.etag = server.etag and '"two"'
    server.date = server.date and "Tue, 02 Jan 2024 00:00:00 GMT"
    server.ignores_if_range = not honest
    seen = []
    path = fetch(server, tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert path.read_bytes() == contents["two"]
    assert len(server.requests) == (1 if honest else 2)
    assert seen[0][0] == 0  # nothing was put behind the old bytes


def test_a_weak_entity_tag_is_not_sent_but_compared(server, contents, tmp_path):
    server.etag, server.date = 'W/"one"', None
    break_off(server, tmp_path)
    server.body, server.etag = contents["two"], 'W/"two"'
    assert fetch(server, tmp_path).read_bytes() == contents["two"]
    assert "If-Range" not in server.requests[0]


def test_without_validators_a_splice_is_noticed_and_undone(server, contents, tmp_path):
    server.etag = server.date = None
    break_off(server, tmp_path)
    server.body = contents["two"]
    assert fetch(server, tmp_path).read_bytes() == contents["two"]
    assert [request.get("Range") for request in server.requests] == ["bytes=200000-", None]


def test_without_validators_an_unchanged_file_is_continued(server, tmp_path):
    server.etag = server.date = None
    break_off(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == server.body
    assert server.sent == len(server.body) - 200_000


def test_a_file_that_shrank(server, tmp_path):
    server.etag = server.date = None
    break_off(server, tmp_path, kept=500_000)
    write_npz(tmp_path / "small.npz", {"observations": np.zeros((3, 2))})
    server.body = (tmp_path / "small.npz").read_bytes()
    assert fetch(server, tmp_path).read_bytes() == server.body


def test_another_address_starts_anew(server, contents, tmp_path):
    break_off(server, tmp_path)
    server.body = contents["two"]  # with the same validators
    path = download(NAME, folder=tmp_path, base_url=server.url + "/mirror")
    assert path.read_bytes() == contents["two"]
    assert "Range" not in server.requests[0]


def test_a_complete_part_is_only_verified(server, tmp_path):
    """The program was killed between the last byte and the move."""
    break_off(server, tmp_path)
    with open(tmp_path / PART, "ab") as part:
        part.write(server.body[200_000:])
    assert fetch(server, tmp_path).read_bytes() == server.body
    assert server.sent == 0


def test_a_part_without_its_note_is_not_trusted(server, tmp_path):
    (tmp_path / PART).write_bytes(b"x" * 1000)
    assert fetch(server, tmp_path).read_bytes() == server.body
    (tmp_path / TARGET).unlink()
    (tmp_path / PART).write_bytes(b"x" * 1000)
    (tmp_path / NOTE).write_text("[]")
    assert fetch(server, tmp_path).read_bytes() == server.body


def test_a_server_without_ranges(server, tmp_path):
    server.ranges = False
    server.drops = [100_000, 300_000]
    assert fetch(server, tmp_path).read_bytes() == server.body


def test_a_server_that_always_breaks_off_is_given_up(server, tmp_path):
    server.ranges = False
    server.drops = [100_000] * 100
    refused(server, tmp_path, "the connection ended after 100000 of 560")
    assert len(server.requests) == ATTEMPTS


def test_without_a_length_the_contents_decide(server, tmp_path):
    server.length = False
    seen = []
    fetch(server, tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert (tmp_path / TARGET).read_bytes() == server.body
    assert seen[-1] == (len(server.body), None)
    server.drops = [1000]
    refused(server, tmp_path, "damaged", overwrite=True)
    assert (tmp_path / TARGET).read_bytes() == server.body
