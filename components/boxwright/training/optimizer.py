"""The optimizer that the hyperparameters describe."""

from __future__ import annotations

from typing import Any

from boxwright.config import OPTIMIZER_SETTINGS, Hyperparameters, RunConfig
from boxwright.model import hyperparameters_of

# Keras's class of each optimizer of the managed algorithm; its hyperparameters have Keras's names.
_CLASSES = {
    "adam": "Adam",
    "sgd": "SGD",
    "nesterov": "SGD",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
}
_OWN_SETTINGS = {name for used in OPTIMIZER_SETTINGS.values() for name in used}
_FINAL_SHARE = 0.01


def make_optimizer(hyperparameters: Hyperparameters, steps_per_epoch: int) -> Any:
    """Keras's optimizer with schedule, clipping and weight decay as the hyperparameters say."""
    arguments = {name: getattr(hyperparameters, name) for name in OPTIMIZER_SETTINGS[hyperparameters.optimizer]}
    if hyperparameters.optimizer == "nesterov":
        arguments["nesterov"] = True
    return _keras_optimizer(_CLASSES[hyperparameters.optimizer])(
        learning_rate=_schedule(hyperparameters, steps_per_epoch),
        global_clipnorm=hyperparameters.gradient_clip_norm or None,
        weight_decay=hyperparameters.weight_decay or None,
        **arguments,
    )


def _keras_optimizer(keras_class: str) -> Any:
    """Keras's optimizer with two changes.

    It clips the gradient of all devices, where Keras clips each device's part, then adds. And a variable may learn at
    a share of the learning rate (`scale_rate`), weight decay included.
    """
    import keras
    import tensorflow as tf

    base = getattr(keras.optimizers, keras_class)

    def update(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = learning_rate * self.rate_shares.get(self._var_key(variable), 1.0)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * tf.cast(rate * self.weight_decay, variable.dtype))
        base.update_step(self, gradient, variable, rate)

    def clip(self: Any, parts: list[Any]) -> list[Any]:
        context = tf.distribute.get_replica_context()
        if self.global_clipnorm is None or context is None or context.num_replicas_in_sync == 1:
            return list(base._clip_gradients(self, parts))
        whole = context.all_reduce(tf.distribute.ReduceOp.SUM, parts)
        clipped = base._clip_gradients(self, whole)
        # Keras adds them up again.
        return [gradient / context.num_replicas_in_sync for gradient in clipped]

    # `update` decays; Keras would do it for all variables at one rate.
    changes = {"_clip_gradients": clip, "update_step": update, "_apply_weight_decay": lambda self, variables: None}
    # Of the class, which this one optimizer has for itself: Keras would track an attribute of the instance.
    return type(keras_class, (base,), {**changes, "rate_shares": {}})


def scale_rate(optimizer: Any, variables: list[Any], share: float) -> None:
    """Lets variables learn at a share of the learning rate, through warm-up and schedule; before the first step."""
    optimizer.rate_shares.update({optimizer._var_key(variable): share for variable in variables})


def spare_from_weight_decay(optimizer: Any, model: Any) -> None:
    """Lets weight decay pull on kernels only, not on biases and norms; before the optimizer is built."""
    if optimizer.weight_decay:
        vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=vectors)


def _schedule(hyperparameters: Hyperparameters, steps_per_epoch: int) -> Any:
    """A linear rise over the warm-up, then a half cosine down to a hundredth, or a constant."""
    import keras

    peak = hyperparameters.learning_rate
    total = hyperparameters.epochs * steps_per_epoch
    warmup = min(round(hyperparameters.warmup_epochs * steps_per_epoch), total // 2)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        decay_steps=max(total - warmup, 1),
        alpha=_FINAL_SHARE if hyperparameters.learning_rate_schedule == "cosine" else 1.0,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def ignored_settings(config: RunConfig) -> list[str]:
    """A warning for each hyperparameter that the run sets and that its others leave without effect."""
    made, chosen = config.hyperparameters.model_fields_set, hyperparameters_of(config)
    warnings = []
    for name in sorted((_OWN_SETTINGS - set(OPTIMIZER_SETTINGS[chosen.optimizer])) & made):
        users = ", ".join(other for other, names in OPTIMIZER_SETTINGS.items() if name in names)
        warnings.append(
            f"{name}={getattr(chosen, name)} has no effect with optimizer={chosen.optimizer}; {users} use it"
        )
    if not chosen.early_stopping:
        stopping = sorted({"early_stopping_min_delta", "early_stopping_patience"} & made)
        warnings += [f"{name}={getattr(chosen, name)} has no effect without early_stopping=True" for name in stopping]
    flip = chosen.horizontal_flip
    if flip == "True" and chosen.augmentation == "none":
        warnings.append("horizontal_flip=True has no effect with augmentation=none")
    if flip == "False" and chosen.augmentation == "flip":
        warnings.append("augmentation=flip has no effect with horizontal_flip=False")
    if config.validation and "validation_split" in made:
        warnings.append(f"validation_split={chosen.validation_split} has no effect with a validation dataset")
    return warnings
