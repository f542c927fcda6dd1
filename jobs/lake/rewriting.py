"""History again, without some rows: every snapshot that a version names is rebuilt from files that don't have them.

An Iceberg snapshot never changes, so what is to go from all versions goes by new snapshots in the old ones' place. Rows keep their
`seq`, so each version reads as before but for what went. A rebuilt snapshot has one manifest of the files that it reads: those of
the old one also bound the columns of files that were replaced long ago.
"""

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import TableProperties

from secondlook.jobs.lake.store import COMMIT_TRIES, Lake, Version
from secondlook.pipeline.core.errors import ConflictError

Cleaned = Callable[[str, str], str | None]
"""(table, URL of a data file) → the URL of the file without the rows: itself where it had none, None where it had only such."""


def rebuilt(lake: Lake, name: str, versions: Iterable[Version], cleaned: Cleaned, branch: str) -> dict[int, int]:
    """Snapshots of a table that these versions name → what takes their place; empty where all of them may stay as they are.

    Nothing changes for readers before versions name the new ones. `branch` is what the new branches' names begin with. Raises
    ConflictError where `gc` removed such a version meanwhile.
    """
    table = lake.iceberg(name, fresh=True)
    wanted = sorted({version.tables[name] for version in versions if name in version.tables})
    files = _files(table, wanted)
    known = {file.file_path: file for its in files.values() for file in its}
    after = {url: cleaned(name, url) for url in known}
    if all(url == new for url, new in after.items()):
        return {}
    root = table.current_snapshot()
    assert root is not None, "a table is made with a root snapshot"
    lists = {old: [url for file in its if (url := after[file.file_path]) is not None] for old, its in files.items()}
    empty = {old: int(root.snapshot_id) for old, its in lists.items() if not its and old != root.snapshot_id}
    return empty | _written(lake, name, {old: its for old, its in lists.items() if its}, known, branch)


def _files(table: IcebergTable, snapshots: Iterable[int]) -> dict[int, list[DataFile]]:
    """The data files of each snapshot."""
    found: dict[int, list[DataFile]] = {}
    read: dict[str, list[DataFile]] = {}
    for number in snapshots:
        snapshot = table.snapshot_by_id(number)
        if snapshot is None:
            raise ConflictError("`gc` removed a version meanwhile; run this again")
        found[number] = []
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in read:
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                read[manifest.manifest_path] = [entry.data_file for entry in entries]
            found[number] += read[manifest.manifest_path]
    return found


def _written(
    lake: Lake, name: str, lists: Mapping[int, Collection[str]], known: Mapping[str, DataFile], branch: str
) -> dict[int, int]:
    """A new snapshot for each list of files, each on a branch of its own, all in one commit of the table."""
    for tried in range(COMMIT_TRIES):
        table = lake.iceberg(name, fresh=True)
        try:
            with table.transaction() as change:
                if table.name_mapping() is None:  # as `add_files` does: files of ours carry names and no ids of columns
                    mapping = table.schema().name_mapping.model_dump_json()
                    change.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping})
                for old, urls in lists.items():
                    with change.update_snapshot(branch=f"{branch}-{tried}-{old}").fast_append() as snapshot:
                        for url in urls:
                            described = known.get(url) or parquet_file_to_data_file(table.io, table.metadata, url)
                            snapshot.append_data_file(described)
        except (CommitFailedException, ValueError) as problem:  # see Attempt._on_branch
            if isinstance(problem, ValueError) and "sequence number" not in str(problem):
                raise
            time.sleep(random.uniform(0, 0.05 * (tried + 1)))  # noqa: S311
            continue
        heads = {old: table.snapshot_by_name(f"{branch}-{tried}-{old}") for old in lists}
        return {old: int(head.snapshot_id) for old, head in heads.items() if head is not None}
    raise ConflictError(f"table {name} is being written by too many jobs at once; run this again")
