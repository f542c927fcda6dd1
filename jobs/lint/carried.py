"""Which carrier an audit has: this process for small lakes, Spark for large ones."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import Carrier
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import unknown

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ENGINES = ("auto", "local", "spark")
BIG = 1_000_000  # samples from which `auto` takes Spark


@contextlib.contextmanager
def carrier(
    lake: Lake, settings: Settings, version: Version, engine: str = "auto", spark: "SparkSession | None" = None
) -> Iterator[Carrier]:
    """What carries the audit; a Spark session that nobody had before is stopped in the end."""
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    big = sum(task.file.record_count for task in lake.scan("samples", version).plan_files()) > BIG
    if engine == "local" or (engine == "auto" and not big):
        yield LocalTables(lake, version)
        return
    from pyspark.sql import SparkSession

    from secondlook.jobs.lint.on_spark import SparkTables
    from secondlook.jobs.machine.spark import session

    running = spark or SparkSession.getActiveSession()
    used = running or session(settings.spark)
    tables = SparkTables(lake, version, used)
    try:
        yield tables
    finally:
        tables.close()
        if running is None:
            used.stop()
