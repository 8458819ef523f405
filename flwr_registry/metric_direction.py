"""Whether more or less of a metric is better, as far as its name tells.

What the name does not tell is asked for, never guessed: a guess would keep, name or
promote the worse model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

__all__ = [
    "Direction",
    "check_direction",
    "direction_of",
    "known_direction",
    "words_of",
]

Direction = Literal["max", "min"]

_LOWER = """
    loss losses error errors err mistakes misclassification misclassifications
    mse rmse nrmse mae rmae medae mape smape wmape msle rmsle rss sse crps
    nll logloss mlogloss merror bce crossentropy xent kl kld divergence perplexity ppl
    bpc bpb bpd hinge huber logcosh pinball deviance regret brier ece wer cer eer
    fpr fnr fdr frr distance distances emd wasserstein hausdorff hd95 chamfer assd
    fid lpips epsilon
"""
_HIGHER = """
    accuracy accuracies acc auc auroc rocauc aucroc auprc aucpr prauc
    f1 f2 f1score fbeta fscore fmeasure precision recall sensitivity specificity
    tpr tnr ppv npv r2 rsquared map ap miou iou giou dice jaccard kappa mcc
    bleu sacrebleu rouge meteor chrf cider bertscore ndcg mrr hitrate
    psnr ssim elbo loglikelihood pearson pearsonr spearman spearmanr kendall
"""

_LESS_IS_BETTER = frozenset(_LOWER.split())
_MORE_IS_BETTER = frozenset(_HIGHER.split())
_KNOWN = _LESS_IS_BETTER | _MORE_IS_BETTER

_PHRASES: dict[tuple[str, ...], Direction] = {
    ("negative", "log", "likelihood"): "min",
    ("neg", "log", "likelihood"): "min",
    ("cross", "entropy"): "min",
    ("kl", "div"): "min",
    ("brier", "score"): "min",
    ("fid", "score"): "min",
    ("lpips", "score"): "min",
    ("wer", "score"): "min",
    ("cer", "score"): "min",
    ("dice", "loss"): "min",
    ("iou", "loss"): "min",
    ("jaccard", "loss"): "min",
    ("false", "positive"): "min",
    ("false", "positives"): "min",
    ("false", "negative"): "min",
    ("false", "negatives"): "min",
    ("false", "alarm"): "min",
    ("false", "alarms"): "min",
    ("log", "likelihood"): "max",
    ("io", "u"): "max",
    ("exact", "match"): "max",
    ("hit", "rate"): "max",
    ("success", "rate"): "max",
    ("win", "rate"): "max",
    ("explained", "variance"): "max",
    ("r", "squared"): "max",
    ("r", "2"): "max",
    ("f", "1"): "max",
    ("f", "score"): "max",
    ("f", "measure"): "max",
    ("f", "beta"): "max",
    ("true", "positive"): "max",
    ("true", "positives"): "max",
    ("true", "negative"): "max",
    ("true", "negatives"): "max",
}

# What may stand beside a measure and leaves its direction: which data, whose model, how
# it is averaged, which kind of the measure. No list of what turns one around is ever
# complete, so that with any other word the direction is asked for.
_BESIDE = """
    val valid validation validate test testing train training trained eval evaluation
    evaluate evaluated dev holdout heldout fit data dataset dataloader idx set split
    testset trainset valset fold seed subset seen unseen
    central centralized centralised server client clients clientapp serverapp federated
    fed distributed local global site silo party node worker device user group
    aggregated personalized ensemble site per on all
    top k macro micro mean avg average averaged weighted unweighted balanced overall
    total sum combined median min max worst best final last first initial current
    running moving smoothed ema pooled round epoch step batch fold iteration iter
    class label multi binary multiclass multilabel categorical sparse ovr ovo pos
    shot way
    sample samples example pixel token word words char character phoneme sentence match
    image frame task main clean robust benign small medium large
    classification regression segmentation detection reconstruction contrastive triplet
    focal smooth soft hard masked box cls obj dfl seg mask ce retrieval generalized
    absolute abs squared root log logarithmic percentage percent pct relative symmetric
    normalized expected calibration hamming zero one cosh cosine euclidean frechet
    inception cohen cohens adjusted fixed corr corrcoef correlation coef coefficient
    index rate metric metrics lsum roc pr
"""
_LEAVES_MEANING = frozenset(_BESIDE.split())
_LINK = "at"
_SCORE = "score"

# Before a slash any word may stand, as the name of a data set or of a group of metrics,
# but none of these.
_TURNING = """
    neg negative negated minus inverse inverted inv reciprocal non not no anti without
    drop dropped gap gain improvement improved reduction decrease increase change delta
    diff difference std stddev stdev deviation var variance spread disparity
    weight weights threshold target attack attacks attacker backdoor mia membership
"""
_CHANGES_MEANING = frozenset(_TURNING.split())

# Written in one piece with what they qualify, as in valloss.
_PREFIX = re.compile(
    "(?:val|valid|validation|eval|evaluation|test|testing|train|training|dev|central|"
    "server|client|global|local|macro|micro|mean|avg)(?=.)"
)
_CAMEL = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+|[^\W\d_A-Za-z]+")
_OPERATION = re.compile(
    r"""
      [^\w\s\-/.@:|,()\[\]{}\#%^&'"=]        # a sign that joins no words
    | (?:^|[(\[{/=,:|^&])\s*-                # the negative of what follows
    | (?<![^\W_)\]}%])-(?=\S)
    | (?<![\w.\-@\#])(?:\d+(?:\.\d*)?%?|one)\s*-\s*
      (?!\d|(?:shot|way|fold|class|step)(?![a-z]))     # a number less what follows
    | ^[\s(\[{]*(?:1(?:\.0*)?|100|one)\s*/     # a number by what follows
    """,
    re.IGNORECASE | re.VERBOSE,
)

_Sense = Literal["max", "min", "beside", "link", "score", "unknown"]
_MEASURES: frozenset[_Sense] = frozenset({"max", "min"})
_OF_A_ROUND = frozenset({"round", "epoch", "step"})
_OF_THE_BEST = frozenset({"best", "worst", "max", "min"})


def direction_of(name: str) -> Direction | None:
    """Tell by the name of a metric whether more or less of it is better.

    Whole words count, however they are joined: ``val_loss``, ``eval-loss``, ``valLoss``
    and ``test/loss`` all name a loss, ``glass`` none. Beside the measure only words may
    stand that are known to leave its direction, and before a slash any name:
    ``digits/accuracy`` tells one, ``time_to_accuracy`` none.

    Returns
    -------
    {"max", "min"} or None
        None for a name without a measure, with measures of both kinds, with a word that
        is not known, or with an operation, such as ``loss_accuracy``,
        ``attack_accuracy`` and ``1 - accuracy``.
    """
    if _OPERATION.search(name):
        return None
    parts = [words for part in name.split("/") if (words := words_of(part))]
    while parts and set(_senses(parts[-1])) <= {"beside", "link"}:
        parts.pop()
    if not parts or _names_a_round([word for words in parts for word in words]):
        return None
    *spaces, last = parts
    found = {_direction_of_part(last), *_directions_of_spaces(spaces)}
    return found.pop() if len(found) == 1 else None


def known_direction(name: str, mode: str | None, option: str = "mode") -> Direction:
    """Return the direction that was chosen, else the one that the name tells.

    Parameters
    ----------
    mode : {"max", "min"} or None
        What the user chose, which always wins.
    option : str
        How the user sets it, for the error.

    Raises
    ------
    ValueError
        For another mode; or without one, where the name tells nothing.
    """
    chosen = check_direction(mode, option)
    direction = direction_of(name) if chosen is None else chosen
    if direction is None:
        raise ValueError(
            f"the name of the metric {name!r} does not tell whether more or less of "
            f"it is better: set {option} to 'max' or 'min'"
        )
    return direction


def check_direction(mode: str | None, option: str = "mode") -> Direction | None:
    """Return a mode that is one, or None.

    Raises
    ------
    ValueError
        For anything else.
    """
    match mode:
        case None | "max" | "min":
            return mode
    raise ValueError(f"{option} is 'max' or 'min', whichever is better, not {mode!r}")


def words_of(name: str) -> list[str]:
    """Split the name of a metric into its words, in lower case.

    Numbers at the end of a known word go: ``acc1`` and ``mAP50`` are ``acc`` and
    ``map``, while ``f1`` and ``r2`` are words of their own.
    """
    pieces = re.split(r"[\W_]+", name)
    return [word for piece in pieces if piece for word in _words_in(piece)]


def _words_in(piece: str) -> Iterator[str]:
    whole = _known(piece)
    if whole is not None:
        yield whole
        return
    for part in _CAMEL.findall(piece):
        yield _known(part) or part.lower()


def _known(text: str) -> str | None:
    """Return the known word that a text is, without prefix and number."""
    lower = text.lower()
    prefix = _PREFIX.match(lower)
    for each in (lower, lower[prefix.end() :] if prefix else ""):
        for word in (each, each.rstrip("0123456789")):
            if word in _KNOWN:
                return word
    return None


def _senses(words: Sequence[str]) -> Iterator[_Sense]:
    """Go through what each word or phrase is."""
    place = 0
    while place < len(words):
        some = (tuple(words[place : place + length]) for length in (3, 2))
        phrase = next((each for each in some if each in _PHRASES), None)
        yield _PHRASES[phrase] if phrase else _sense(words[place])
        place += len(phrase) if phrase else 1


def _sense(word: str) -> _Sense:
    if word in _KNOWN:
        return "min" if word in _LESS_IS_BETTER else "max"
    if word == _LINK:
        return "link"
    if word == _SCORE:
        return "score"
    letters = word.rstrip("0123456789")
    is_one_letter = len(letters) == 1 and letters.isascii()
    is_known = not letters or is_one_letter or letters in _LEAVES_MEANING
    return "beside" if is_known else "unknown"


def _direction_of_part(words: Sequence[str]) -> Direction | None:
    """Tell the direction of the one measure that a part without slash names."""
    senses = [sense for sense in _senses(words) if sense != "link"]
    runs = [is_run for is_run, _ in groupby(senses, _MEASURES.__contains__)]
    # Of two measures with a word between, one may be taken from the other.
    if "unknown" in senses or runs.count(True) != 1:
        return None
    # More of a score is better, so that the score of an error tells nothing.
    if "max" in senses:
        return None if "min" in senses else "max"
    return None if "score" in senses else "min"


def _directions_of_spaces(
    spaces: Sequence[Sequence[str]],
) -> Iterator[Direction | None]:
    """Tell what speaks against a direction in what stands before a slash."""
    for words in spaces:
        if not _CHANGES_MEANING.isdisjoint(words):
            yield None
        elif not _MEASURES.isdisjoint(senses := set(_senses(words))):
            # A measure with more than its own name may be divided by the other.
            yield _direction_of_part(words) if senses <= _MEASURES else None


def _names_a_round(words: Sequence[str]) -> bool:
    """Whether a name may be the number of the round that was best, not a measure."""
    return not (_OF_A_ROUND.isdisjoint(words) or _OF_THE_BEST.isdisjoint(words))
