"""Gold: pictures whose class is known beyond doubt, as a version of the lake shows them."""

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.store import Lake, Version


def gold_rows(lake: Lake, version: Version) -> pa.Table:
    """Everything that is gold now, in the order of the ids: the columns of the table `gold`, labels as they read today.

    Pictures of a class that is gone, was split, or waits for a sign-off are left out: nobody can be asked for it.
    """
    rows = lake.latest("gold", version)
    rows = rows.filter(pc.is_valid(rows["label"]))
    classes = class_lists.read(lake, version)
    labels = classes.read(rows["label"], rows["seq"], reveal=True)
    usable = [name is not None and classes.concern(name) is None for name in labels.to_pylist()]
    rows = rows.set_column(rows.column_names.index("label"), "label", labels)
    return rows.filter(pa.array(usable, pa.bool_()))


def gold(lake: Lake, version: Version) -> dict[str, str]:
    """The class of every gold picture, by sample_id."""
    rows = gold_rows(lake, version)
    return dict(zip(rows["sample_id"].to_pylist(), rows["label"].to_pylist(), strict=True))
