"""One net fitted by several processes that Spark starts: with GPUs on several machines of a cluster."""

import contextlib
import io
from typing import TYPE_CHECKING

from secondlook.jobs.train import together

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def fitted(spark: "SparkSession", url: str, processes: int, *, local: bool, gpu: bool) -> together.Together:
    """Run the task in a folder (`together.write_task`) by so many processes, and return what they fitted.

    `local`: all on this machine, beside Spark's driver; else as barrier tasks of the cluster, whose workers must be able to
    read the folder. Raises UnavailableError where processes failed, with the last of what they said.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    from secondlook.pipeline.core.errors import UnavailableError

    spark.sparkContext.setLocalProperty("spark.job.description", f"one net by {processes} processes")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where Spark repeats all that its processes say
            TorchDistributor(num_processes=processes, local_mode=local, use_gpu=gpu).run(together.work, url)
    except RuntimeError as problem:
        said = [line for line in str(problem).splitlines() if "Error: " in line] or [str(problem)[:200]]
        raise UnavailableError(f"the processes that fit a net together failed: {said[-1].strip()}") from None
    return together.read(url)
