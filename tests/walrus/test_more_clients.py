"""More tools as they come: rclone, restic, s5cmd, s3fs, the SDK for JavaScript, pyarrow, obstore.

`make test` installs them. Each does with the store what its users do, and reads back what it wrote; one that is not there is
skipped by name.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from eucapy.run import RunError, run_now
from tests.harness.waiting import wait_until
from tests.walrus.server import KEY, SECRET, Store

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
NODE_MODULES = ROOT / ".venv" / "clients" / "node_modules"


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """What is tested here does not depend on the database."""
    return sqlite_store


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder as people have it: nested, empty, odd names, one file of several parts."""
    folder = tmp_path / "files"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "small.txt").write_text("hello")
    (folder / "deep" / "er" / "sp ace+é.txt").write_text("odd")
    (folder / "deep" / "big.bin").write_bytes(os.urandom(11 * MIB))
    return folder


def program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def module(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return importlib.import_module(name)


def environment(store: Store, **more: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": "",
        "HOME": str(store.folder),
        **more,
    }


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rclone_syncs_checks_and_serves_what_it_copied(store: Store, bucket: str, files: Path, tmp_path: Path) -> None:
    rclone = program("rclone")
    env = environment(
        store,
        RCLONE_CONFIG_W_TYPE="s3",
        RCLONE_CONFIG_W_PROVIDER="Other",
        RCLONE_CONFIG_W_ENV_AUTH="true",
        RCLONE_CONFIG_W_ENDPOINT=f"http://127.0.0.1:{store.port}",
        RCLONE_CONFIG=str(tmp_path / "none.conf"),
        RCLONE_S3_UPLOAD_CUTOFF="5Mi",
        RCLONE_S3_CHUNK_SIZE="5Mi",
        RCLONE_RETRIES="1",
    )

    def run(*words: str) -> str:
        return run_now(rclone, *words, env=env, timeout_s=60).stdout

    run("sync", str(files), f"w:{bucket}/tree")
    run("check", "--download", str(files), f"w:{bucket}/tree")
    (files / "small.txt").write_text("changed")
    (files / "deep" / "big.bin").unlink()
    run("sync", str(files), f"w:{bucket}/tree")
    assert json.loads(run("size", "--json", f"w:{bucket}"))["count"] == 2
    run("moveto", f"w:{bucket}/tree/small.txt", f"w:{bucket}/moved é.txt")
    assert run("cat", f"w:{bucket}/moved é.txt") == "changed"
    run("copy", f"w:{bucket}/tree", str(tmp_path / "back"))
    assert tree(tmp_path / "back") == {"deep/er/sp ace+é.txt": b"odd"}
    run("purge", f"w:{bucket}")
    assert bucket not in run("lsd", "w:")


def test_restic_keeps_a_backup_that_it_can_check_restore_and_prune(
    store: Store, bucket: str, files: Path, tmp_path: Path
) -> None:
    restic = program("restic")
    env = environment(
        store,
        RESTIC_REPOSITORY=f"s3:http://127.0.0.1:{store.port}/{bucket}/backup",
        RESTIC_PASSWORD="a password",
        RESTIC_CACHE_DIR=str(tmp_path / "cache"),
    )

    def run(*words: str) -> str:
        return run_now(restic, *words, env=env, timeout_s=120).stdout

    run("init")
    run("backup", str(files))
    before = tree(files)
    (files / "small.txt").write_text("changed")
    run("backup", str(files))
    first, second = json.loads(run("snapshots", "--json"))
    run("restore", first["id"], "--target", str(tmp_path / "back"))
    assert tree(tmp_path / "back" / files.relative_to("/")) == before
    run("forget", "--prune", second["id"])
    assert "no errors were found" in run("check", "--read-data")


def test_s5cmd_copies_many_objects_at_once(store: Store, bucket: str, files: Path, tmp_path: Path) -> None:
    s5cmd = program("s5cmd")
    env = environment(store)

    def run(*words: str) -> str:
        endpoint = f"http://127.0.0.1:{store.port}"
        return run_now(s5cmd, "--endpoint-url", endpoint, "--retry-count", "0", *words, env=env, timeout_s=60).stdout

    many = files / "many"
    many.mkdir()
    for number in range(100):
        (many / f"{number:03}").write_text(str(number))
    run("cp", "--part-size", "5", f"{files}/", f"s3://{bucket}/")
    assert len(run("ls", f"s3://{bucket}/many/*").splitlines()) == 100
    assert run("cat", f"s3://{bucket}/many/042") == "42"
    run("cp", f"s3://{bucket}/*", str(tmp_path / "back"))
    assert tree(tmp_path / "back") == tree(files)
    run("mv", f"s3://{bucket}/many/*", f"s3://{bucket}/moved/")
    run("rm", f"s3://{bucket}/moved/00*")
    assert len(run("ls", f"s3://{bucket}/moved/").splitlines()) == 90
    with pytest.raises(RunError, match="no object found"):
        run("ls", f"s3://{bucket}/many/*")


@pytest.mark.host
def test_s3fs_is_a_file_system_over_a_bucket(store: Store, s3: Any, bucket: str, tmp_path: Path) -> None:
    s3fs, fusermount = program("s3fs"), program("fusermount")
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("mounting needs root and /dev/fuse")
    point, secret = tmp_path / "mounted", tmp_path / "secret"
    point.mkdir()
    secret.write_text(f"{KEY}:{SECRET}\n")
    secret.chmod(0o600)
    options = [
        "-o",
        f"url=http://127.0.0.1:{store.port}",
        "-o",
        "use_path_request_style",
        "-o",
        f"passwd_file={secret}",
    ]
    run_now(s3fs, bucket, str(point), *options, "-o", "multipart_size=5", timeout_s=30)
    try:
        wait_until(lambda: os.path.ismount(point), 10)
        big = os.urandom(11 * MIB)
        (point / "folder").mkdir()
        (point / "folder" / "big").write_bytes(big)
        (point / "small é").write_text("hello")
        with (point / "small é").open("a") as file:
            file.write(" again")
        (point / "small é").rename(point / "folder" / "renamed")
        assert sorted(entry.name for entry in (point / "folder").iterdir()) == ["big", "renamed"]
        with (point / "folder" / "big").open("rb") as file:
            file.seek(5 * MIB)
            assert file.read(100) == big[5 * MIB : 5 * MIB + 100]
        (point / "folder" / "renamed").chmod(0o640)
        assert (point / "folder" / "renamed").stat().st_mode & 0o777 == 0o640
        assert s3.get_object(Bucket=bucket, Key="folder/big")["Body"].read() == big
        assert s3.get_object(Bucket=bucket, Key="folder/renamed")["Body"].read() == b"hello again"
        s3.put_object(Bucket=bucket, Key="folder/from outside", Body=b"seen")
        assert (point / "folder" / "from outside").read_text() == "seen"
        shutil.rmtree(point / "folder")
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    finally:
        run_now(fusermount, "-u", str(point), timeout_s=30)


def test_the_sdk_for_javascript(store: Store, bucket: str) -> None:
    node = program("node")
    if not (NODE_MODULES / "@aws-sdk" / "lib-storage").is_dir():
        pytest.skip("the AWS SDK for JavaScript is not installed")
    script = Path(__file__).parent / "clients" / "sdk.cjs"
    env = environment(store, NODE_PATH=str(NODE_MODULES))
    said = run_now(node, str(script), f"http://127.0.0.1:{store.port}", bucket, env=env, timeout_s=60).stdout
    seen = json.loads(said)
    assert seen.pop("etag").endswith('-3"')
    assert seen == {
        "text": "hello",
        "metadata": {"colour": "blue"},
        "same": True,
        "range": True,
        "copied": 11 * MIB,
        "keys": ["a b/ü+.txt", "big", "copy"],
        "missing": True,
        "left": 0,
    }


def test_pyarrow_reads_columns_of_a_table_in_a_bucket(store: Store, bucket: str) -> None:
    arrow, parquet, fs = (module(name) for name in ("pyarrow", "pyarrow.parquet", "pyarrow.fs"))
    system = fs.S3FileSystem(
        access_key=KEY,
        secret_key=SECRET,
        endpoint_override=f"127.0.0.1:{store.port}",
        scheme="http",
        region="us-east-1",
    )
    table = arrow.table({"number": list(range(200_000)), "text": [f"row {n}" for n in range(200_000)]})
    parquet.write_to_dataset(table, f"{bucket}/table", filesystem=system, basename_template="part-{i}.parquet")
    read = parquet.read_table(
        f"{bucket}/table", filesystem=system, columns=["number"], filters=[("number", ">", 199_997)]
    )
    assert read.to_pydict() == {"number": [199_998, 199_999]}
    with system.open_output_stream(f"{bucket}/stream") as stream:
        for _ in range(12):
            stream.write(b"x" * MIB)
    assert system.get_file_info(f"{bucket}/stream").size == 12 * MIB
    with system.open_input_file(f"{bucket}/stream") as file:
        assert file.read_at(10, 12 * MIB - 5) == b"x" * 5
    system.delete_dir_contents(bucket)
    assert system.get_file_info(fs.FileSelector(bucket)) == []


def test_obstore_puts_conditionally_and_reads_ranges(store: Store, bucket: str) -> None:
    obstore = module("obstore")
    remote = obstore.store.S3Store(
        bucket,
        endpoint=f"http://127.0.0.1:{store.port}",
        access_key_id=KEY,
        secret_access_key=SECRET,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    data = os.urandom(11 * MIB)
    obstore.put(remote, "dir/big", data, chunk_size=5 * MIB)
    assert bytes(obstore.get(remote, "dir/big").bytes()) == data
    ranges = obstore.get_ranges(remote, "dir/big", starts=[0, 5 * MIB - 3], ends=[7, 5 * MIB + 3])
    assert [bytes(part) for part in ranges] == [data[:7], data[5 * MIB - 3 : 5 * MIB + 3]]
    obstore.put(remote, "once", b"first", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(remote, "once", b"second", mode="create")
    seen = obstore.head(remote, "once")
    obstore.put(remote, "once", b"second", mode={"e_tag": seen["e_tag"]})
    with pytest.raises(obstore.exceptions.PreconditionError):
        obstore.put(remote, "once", b"third", mode={"e_tag": seen["e_tag"]})
    obstore.copy(remote, "once", "dir/copied")
    listed = obstore.list(remote, prefix="dir").collect()
    assert sorted(entry["path"] for entry in listed) == ["dir/big", "dir/copied"]
    obstore.delete(remote, [entry["path"] for entry in obstore.list(remote).collect()])
    assert obstore.list(remote).collect() == []
