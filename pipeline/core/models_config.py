"""Settings of models: the generalist, the clusters that it confuses, specialists, students and their frontier."""

from dataclasses import dataclass

from secondlook.pipeline.core.checked import Checked, setting


@dataclass(frozen=True)
class TrainSettings(Checked):
    """The generalist."""

    section = "train"
    backbone: str = setting(
        "small",
        "`small`: a small convolutional net; a net by name such as resnet:32; else a transformers image model, of the hub or a local folder",
    )
    mode: str = setting(
        "auto",
        "`frozen`: only heads are fitted, on the backbone as it is; `finetune`: all of it; `scratch`: a net from random weights; auto: scratch for `small` and nets by name, frozen for others",
        choices=("auto", "frozen", "finetune", "scratch"),
    )
    image_px: int = setting(
        0,
        "side that pictures are resized to; 0: 128 for a transformers model, 32 for `small` and nets by name",
        unit="pixels",
        low=0,
        high=1024,
    )
    folds: int = setting(
        5, "K of the K-fold cross-fitting that makes every audited probability out of sample", low=2, high=20
    )
    refits: int = setting(1, "times the heads are fitted again without the labels that they doubt", low=0, high=5)
    epochs: int = setting(12, "passes over the data of nets that are fitted whole, `small` among them", low=1)
    batch: int = setting(128, "pictures in one step", unit="pictures", low=1)
    top_k: int = setting(
        20, "classes whose probability is kept for a picture; all of them where there are fewer", unit="classes", low=2
    )
    reweigh: str = setting(
        "",
        "attributes, with commas between, whose groups are weighed in training so that in each of them all classes have the same shares, such as race; empty: all pictures count alike",
    )
    reweigh_to: str = setting(
        "independent",
        "what the groups of `reweigh` count for beside that: as much as there are, all the same, or the shares of [bias] reference",
        choices=("independent", "equal", "reference"),
    )
    reweigh_most: float = setting(
        10.0, "a picture counts at most so many times as much as the mean: few must not drown out all", low=1.0
    )
    threads: int = setting(0, "CPU threads; 0: as many as OMP_NUM_THREADS says, else one a core", low=0)
    device: str = setting("auto", "where torch runs", choices=("auto", "cpu", "cuda"))
    optimizer: str = setting(
        "auto",
        "of nets that are fitted whole: SGD with Nesterov's momentum, or AdamW; auto: sgd from scratch, adamw for `finetune` and nets without batch normalization",
        choices=("auto", "sgd", "adamw"),
    )
    rate: float = setting(
        0.0,
        "… their highest learning rate, of which pretrained layers take a tenth; 0: 0.1 for sgd and 0.002 for adamw from scratch, 0.05 and 0.001 for `finetune`",
        low=0.0,
        high=10.0,
    )
    smoothing: float = setting(0.1, "… label smoothing", low=0.0, high=0.9)
    flip: bool = setting(True, "… mirror pictures at random: not for letters and digits")
    precision: str = setting(
        "auto",
        "… number type of the products; weights are float32; auto: bfloat16 or float16 on a GPU, float32 on a CPU",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    sampled: int = setting(
        0,
        "… classes that each label is compared with in a step, drawn anew; 0: all, which learns more in the same time wherever it was measured: for heads that fit no memory otherwise",
        unit="classes",
        low=0,
    )
    hold_mb: int = setting(
        4096,
        "… pictures that take more than this in memory are read and decoded anew in each epoch",
        unit="MB",
        low=0,
    )
    compile: bool = setting(False, "… by torch.compile: worth it from some minutes of training on")
    seed: int = setting(7, "seed of folds, weights and order", low=0)


@dataclass(frozen=True)
class ClusterSettings(Checked):
    """Clusters of classes that the generalist confuses."""

    section = "clusters"
    method: str = setting(
        "covariance",
        "k-means on the columns of the covariance of predictions, or of the confusion matrix, of what is no background; or `greedy`: the most confused classes first, clusters may overlap",
        choices=("covariance", "confusion", "greedy"),
    )
    n: int = setting(
        0,
        "how many clusters; 0: the number that holds most of the confusion beyond chance, with `greedy` until a third of every class's is held",
        unit="clusters",
        low=0,
    )
    largest: int = setting(0, "classes in one cluster, at most; 0: no limit, with `greedy` 8", unit="classes", low=0)
    draws: int = setting(20, "bootstrap draws that tell how stable the clusters are", unit="draws", low=2, high=1000)
    seed: int = setting(7, "seed of k-means and bootstrap", low=0)


@dataclass(frozen=True)
class SpecialistSettings(Checked):
    """Models of the classes of one cluster, with all else in a dustbin class."""

    section = "specialists"
    epochs: int = setting(6, "passes over a cluster's pictures and as many others", low=1)
    rate: float = setting(
        0.0,
        "highest learning rate; 0: a fifth of the generalist's, from which they start",
        low=0.0,
        high=10.0,
    )
    inside: float = setting(0.5, "share of the pictures of a step that are of the cluster", low=0.1, high=0.9)
    soft: float = setting(
        0.5,
        "weight of the generalist's soft targets beside the labels, for pictures outside of the cluster",
        low=0.0,
        high=1.0,
    )
    active: int = setting(3, "the most probable classes of the generalist, whose specialists are asked", low=1, high=50)
    folds: int = setting(
        2,
        "folds whose held-out pictures tell which specialists are kept: from each such fold's net all are fitted",
        unit="folds",
        low=1,
        high=20,
    )
    confidence: float = setting(
        0.90, "a specialist is kept where out-of-fold data say with this confidence that it helps", low=0.5, high=0.999
    )
    levels: int = setting(
        1, "2: clusters that stay hard in spite of their specialist are divided once more", low=1, high=2
    )
    on: str = setting(
        "here",
        "where they are fitted: `here`, side by side on the cores or the GPU, or on `spark`, a task each",
        choices=("here", "spark"),
    )
    seed: int = setting(7, "seed of order and weights", low=0)


@dataclass(frozen=True)
class DistillSettings(Checked):
    """Small students, taught by larger models."""

    section = "distill"
    teacher: str = setting(
        "generalist",
        "who teaches: `generalist` or `specialists` (the newest), or a model of the lake by name",
    )
    students: str = setting(
        "mobilenet-v1:0.5",
        "nets by name, with commas between, that are taught side by side; resnet:16@24 sees pictures of 24 pixels",
    )
    image_px: int = setting(
        0, "side of the students' pictures, the resolution ρ of MobileNet; 0: the teacher's", low=0, high=1024
    )
    method: str = setting(
        "soft",
        "`soft`: the teacher's probabilities at a temperature; `logits`: its logits, their limit; `decoupled`: right class and others apart",
        choices=("soft", "logits", "decoupled"),
    )
    temperature: float = setting(4.0, "how far probabilities are evened out", low=0.5, high=100.0)
    soft: float = setting(
        0.9, "weight of the teacher beside the labels; 0: nobody teaches, for comparison", low=0.0, high=1.0
    )
    others: float = setting(
        8.0, "… of `decoupled`: weight of what it says among the classes that are not right", low=0.0, high=100.0
    )
    standardize: bool = setting(False, "logits are standardized first: the student need not reach the teacher's scale")
    answers: str = setting(
        "live",
        "`live`: the teacher is asked of each picture as it is changed for the students; `stored`: its predictions of the lake, out of fold where there is a label, which repeat no wrong label that it learned",
        choices=("live", "stored"),
    )
    unlabeled: bool = setting(True, "pictures without a label are learned from too: the teacher labels them")
    epochs: int = setting(24, "passes over the pictures", low=1)
    batch: int = setting(128, "pictures in one step", unit="pictures", low=1)
    rate: float = setting(0.1, "highest learning rate, of SGD with Nesterov's momentum", low=1e-6, high=10.0)
    prune: float = setting(
        0.0, "share of channels that are cut out of a student, after which it is taught again", low=0.0, high=0.95
    )
    quantize: bool = setting(True, "an int8 student beside each, calibrated on pictures that it learned from")
    seed: int = setting(7, "seed of order and weights", low=0)


@dataclass(frozen=True)
class FrontierSettings(Checked):
    """What students are compared by, and the gate that they pass."""

    section = "frontier"
    worst_group: float = setting(
        0.02,
        "a student is refused whose accuracy on any group falls by more than this, surely, below the teacher's: 0.02 is two points",
        low=0.0,
        high=1.0,
    )
    forgotten: float = setting(
        0.10,
        "a class is forgotten where a student is surely worse at it than the teacher, and by more than this",
        low=0.0,
        high=1.0,
    )
    attack: int = setting(
        2,
        "the attack of the robustness column changes pixels by up to this much of 255; 0: no attack",
        unit="of 255",
        low=0,
        high=64,
    )
    attacked: int = setting(1000, "pictures that are attacked, at most; 0: no attack", unit="pictures", low=0)
    steps: int = setting(10, "steps of the stronger attack", unit="steps", low=1, high=1000)
    repeats: int = setting(
        30, "rounds in which latency is measured, all nets in turn, of which the median counts", unit="rounds", low=6
    )
    draws: int = setting(1000, "bootstrap draws behind the interval of the gap between groups", unit="draws", low=100)
    seed: int = setting(7, "seed of the attack's start and of the draws", low=0)
