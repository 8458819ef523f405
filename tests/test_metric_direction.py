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
binary_crossentropy val_sparse_categorical_crossentropy mean_squared_logarithmic_error
root_mean_squared_error squared_hinge huber_loss hamming_loss zero_one_loss max_error
median_absolute_error expected_calibration_error SymmetricMeanAbsolutePercentageError
CharErrorRate MeanSquaredLogError KLDivergence fid_score validation_0-rmse eval-mlogloss
distributed_loss centralized_loss losses_distributed federated_loss avg_client_loss
total_loss val_loss/dataloader_idx_0
Loss/train train/box_loss ce_loss smooth_l1_loss Validation-Loss eval_wer final_loss
"""
HIGHER = """
accuracy val_acc eval_accuracy acc@1 acc5 accuracy_top5 Top5Acc top_5_accuracy f1 F1
f1_score microF1Score macroF1 auc roc_auc ROC-AUC rocAuc precision@k recall_at_5 r2 R^2
mAP val/mAP mAP50-95 mAP@0.5 bleu BLEU4 iou mIoU valMIoU dice ndcg@10 rougeL hit_rate
balanced_accuracy explained_variance log_likelihood
val_sparse_categorical_accuracy categorical_accuracy binary_accuracy accuracy_score
top_k_categorical_accuracy balanced_accuracy_score roc_auc_score roc_auc_ovr_weighted
average_precision_score f1_macro precision_weighted precision_at_recall auc_1 mean_io_u
MulticlassAccuracy BinaryF1Score MulticlassJaccardIndex PearsonCorrCoef R2Score
RetrievalMAP RetrievalHitRate map_50 cohen_kappa_score eval_exact_match eval_rougeLsum
centralized_accuracy federated_evaluate_accuracy accuracy_distributed test/acc
metrics/mAP50-95(B) 5-shot-accuracy site-1-accuracy client_3/val_accuracy
mnist/test_accuracy Accuracy/val val_acc_epoch worst_client_accuracy success_rate
"""
UNKNOWN = """
speed score num_examples glass lossless flossing mapping precise top5 update_norm
loss_accuracy accuracy_loss f1_error neg_loss neg_mean_squared_error -loss 1-accuracy
one_minus_acc accuracy_drop loss_std fairness_gap latency
time_to_accuracy rounds_to_accuracy 1.0-accuracy (1-accuracy) log(1-accuracy)
val/1-accuracy val/-loss (-loss) accuracy**-1 1/loss one_over_loss accuracy>0.9 ∇loss
accuracy_penalty accuracy_cost attack_accuracy attack/accuracy mia_accuracy
backdoor_accuracy attack_success_rate membership_inference_auc error_free_rate
error_margin loss_scale digits_loss accuracy/time train_loss-val_loss
val_loss/train_loss best_accuracy_round neg_log_loss d2_absolute_error_score
"""
PER_ROUND = ["train_loss_step", "train_loss_epoch", "loss/val_loss"]
SPACED = ["100 - accuracy", "1 - acc", "val -loss", "- loss", "accuracy on attacks"]


@pytest.mark.parametrize(
    ("name", "direction"),
    [(name, "min") for name in [*LOWER.split(), *PER_ROUND]]
    + [(name, "max") for name in HIGHER.split()]
    + [(name, None) for name in [*UNKNOWN.split(), *SPACED, "", "  ", "精度"]],
)
def test_names_tell_directions(name, direction):
    assert direction_of(name) == direction


@given(st.text())
def test_any_text_is_a_name(name):
    assert direction_of(name) in {"max", "min", None}
    assert all(words_of(name))


joined = st.sampled_from(["_", "-", "/", " ", ".", "@"])
around = st.sampled_from(["val", "eval", "Test", "site3", "top5", "global", "best"])


@given(st.sampled_from(LOWER.split()), st.lists(around, max_size=3), joined)
def test_what_stands_around_a_loss_leaves_it_a_loss(name, words, joint):
    assert direction_of(joint.join([*words, name])) == "min"


unknown = st.sampled_from(["digits", "CIFAR10", "hospital", "penalty", "speed"])


@given(st.sampled_from(["loss", "eval-loss", "mse", "top5_error"]), unknown)
def test_a_word_that_is_not_known_may_only_be_a_name_space(name, word):
    assert direction_of(f"{word}/{name}") == "min"
    assert direction_of(f"{word}_{name}") is None is direction_of(f"{name}_{word}")


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
