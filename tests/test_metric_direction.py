"""Names of metrics tell whether more or less is better, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.checkpointing import OnImprovement
from flwr_registry.metric_direction import direction_of, known_direction, words_of
from flwr_registry.registry import BetterThanProduction
from flwr_registry.retention import BestN

LOWER = """
loss val_loss eval-loss evalLoss VAL_LOSS test/loss valloss loss_top5 mse RMSE mae
MeanSquaredError error_rate top5_error wordErrorRate wer cer perplexity log_loss logLoss
cross_entropy CrossEntropyLoss brier_score epsilon hausdorff_distance dice_loss
negative_log_likelihood false_positive_rate kl_divergence
"""
HIGHER = """
accuracy val_acc eval_accuracy acc@1 acc5 accuracy_top5 Top5Acc top_5_accuracy f1 F1
f1_score microF1Score macroF1 auc roc_auc ROC-AUC rocAuc precision@k recall_at_5 r2 R^2
mAP val/mAP mAP50-95 mAP@0.5 bleu BLEU4 iou mIoU valMIoU dice ndcg@10 rougeL hit_rate
balanced_accuracy explained_variance log_likelihood
"""
UNKNOWN = """
speed score num_examples glass lossless flossing mapping precise top5 update_norm
loss_accuracy accuracy_loss f1_error neg_loss neg_mean_squared_error -loss 1-accuracy
one_minus_acc accuracy_drop loss_std fairness_gap latency
"""


@pytest.mark.parametrize(
    ("name", "direction"),
    [(name, "min") for name in LOWER.split()]
    + [(name, "max") for name in HIGHER.split()]
    + [(name, None) for name in [*UNKNOWN.split(), "", "  ", "精度"]],
)
def test_names_tell_directions(name, direction):
    assert direction_of(name) == direction


@given(st.text())
def test_any_text_is_a_name(name):
    assert direction_of(name) in {"max", "min", None}
    assert all(words_of(name))


joined = st.sampled_from(["_", "-", "/", " ", ".", "@"])
around = st.sampled_from(["val", "eval", "Test", "site3", "top5", "digits", "best"])


@given(st.sampled_from(LOWER.split()), st.lists(around, max_size=3), joined)
def test_what_stands_around_a_loss_leaves_it_a_loss(name, words, joint):
    assert direction_of(joint.join([*words, name])) == "min"


@given(st.sampled_from(LOWER.split()), st.sampled_from(HIGHER.split()), joined)
def test_words_of_both_kinds_tell_nothing(lower, higher, joint):
    assert direction_of(f"{lower}{joint}a{joint}{higher}") is None


@pytest.mark.parametrize(
    "make",
    [
        BetterThanProduction,
        OnImprovement,
        lambda *said, **more: BestN(1, *said, **more),
    ],
)
def test_whoever_compares_takes_the_direction_or_asks(make):
    assert make("val_loss") == make("val_loss", mode="min")
    assert make("accuracy").mode == "max"
    assert make("loss", mode="max").mode == "max"
    assert make("speed", mode="min").mode == "min"
    with pytest.raises(ValueError, match=r"'speed' does not tell.*set mode to 'max'"):
        make("speed")
    with pytest.raises(ValueError, match="mode is 'max' or 'min'"):
        make("loss", mode="up")


def test_the_error_names_the_option():
    with pytest.raises(ValueError, match="set best_mode to"):
        known_direction("speed", None, "best_mode")
