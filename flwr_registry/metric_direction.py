"""Whether more or less of a metric is better, as far as its name tells.

What the name does not tell is asked for, never guessed: a guess would keep, name or
promote the worse model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    nll logloss bce crossentropy xent kl kld divergence perplexity ppl bpc bpb bpd
    hinge huber logcosh pinball deviance regret brier ece wer cer eer
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

# What turns a measure around, or makes another quantity of it.
_TURNING = """
    neg negative negated minus inverse inverted inv reciprocal non not no anti without
    drop dropped gap gain improvement improved reduction decrease increase change delta
    diff difference std stddev stdev deviation var variance spread disparity
    weight weights threshold target
"""

_CHANGES_MEANING = frozenset(_TURNING.split())

# Written in one piece with what they qualify, as in valloss.
_PREFIX = re.compile(
    "(?:val|valid|validation|eval|evaluation|test|testing|train|training|dev|central|"
    "server|client|global|local|macro|micro|mean|avg)(?=.)"
)
_CAMEL = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+|[^\W\d_A-Za-z]+")
_TURNED_AROUND = re.compile(r"\s*(-|(1|one)\s*[-/]|~|!)", re.IGNORECASE)


def direction_of(name: str) -> Direction | None:
    """Tell by the name of a metric whether more or less of it is better.

    Whole words count, however they are joined: ``val_loss``, ``eval-loss``, ``valLoss``
    and ``test/loss`` all name a loss, ``glass`` none.

    Returns
    -------
    {"max", "min"} or None
        None for a name without such a word, with words of both kinds, or with one that
        may turn it around, such as ``loss_accuracy`` and ``accuracy_drop``.
    """
    if _TURNED_AROUND.match(name):
        return None
    found = set(_directions(words_of(name)))
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


def _directions(words: Sequence[str]) -> Iterator[Direction | None]:
    """Go through what each word says; None for one that may turn the rest around."""
    place = 0
    while place < len(words):
        phrase = next(
            (
                tuple(words[place : place + length])
                for length in (3, 2)
                if tuple(words[place : place + length]) in _PHRASES
            ),
            None,
        )
        word = words[place]
        place += len(phrase) if phrase else 1
        if phrase:
            yield _PHRASES[phrase]
        elif word in _CHANGES_MEANING:
            yield None
        elif word in _KNOWN:
            yield "min" if word in _LESS_IS_BETTER else "max"
