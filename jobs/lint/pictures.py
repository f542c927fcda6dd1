"""SL301 to SL307: what lint says of pictures."""

from collections.abc import Mapping

import pyarrow as pa

from secondlook.jobs.lint.carrier import Carrier, Said, columns, to_table
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.images import checks


def audit(carrier: Carrier, settings: LintSettings) -> Said:
    """SL301 to SL307."""
    limits = checks.thresholds(settings, carrier.contents()["blur"].to_numpy())
    rejects = carrier.rejects()
    refused = (rejects[name].to_pylist() for name in ("sample_id", "key", "reason", "detail"))
    return Said(
        pa.concat_tables(
            [
                to_table(checks.unreadable(*refused)),
                carrier.pictured(lambda rows: look(rows, limits, settings)),
            ]
        )
    )


def look(rows: pa.Table, limits: Mapping[str, float], settings: LintSettings) -> pa.Table:
    """Findings of pictures on rows of sample_id, key, split and the columns of fingerprints."""
    names = (rows["sample_id"].to_pylist(), rows["key"].to_pylist(), rows["split"].fill_null("").to_pylist())
    return to_table(checks.pictures(checks.Pictures(*names, columns(rows)), limits, settings))
