"""SL301 to SL307: what lint says of pictures."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from secondlook.jobs.lint.carrier import Carrier, Said, columns, to_table
from secondlook.pipeline.audit.labels.disagreement import Sides
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.images import checks


def audit(carrier: Carrier, settings: LintSettings, people: Sides | None) -> Said:
    """SL301 to SL307; `people` is how they fared on pictures that are too small, and on others."""
    limits = checks.thresholds(settings, carrier.contents()["blur"].to_numpy())
    rejects = carrier.rejects()
    also = {"SL307": {"people": people.evidence()}} if people else {}
    refused = (rejects[name].to_pylist() for name in ("sample_id", "key", "reason", "detail"))
    return Said(
        pa.concat_tables(
            [
                to_table(checks.unreadable(*refused)),
                carrier.pictured(lambda rows: look(rows, limits, settings, also)),
            ]
        ),
        {"SL307": people.sentence()} if people else {},
    )


def look(
    rows: pa.Table, limits: Mapping[str, float], settings: LintSettings, also: Mapping[str, Mapping[str, Any]]
) -> pa.Table:
    """Findings of pictures on rows of sample_id, key, split and the columns of fingerprints; `also`: evidence by rule."""
    names = (rows["sample_id"].to_pylist(), rows["key"].to_pylist(), rows["split"].fill_null("").to_pylist())
    return to_table(checks.pictures(checks.Pictures(*names, columns(rows)), limits, settings, also))
