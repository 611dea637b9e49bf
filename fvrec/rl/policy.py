"""The set policy: one shared network scores every candidate; MaskablePPO trains it, ``fvrec.rl.serve`` serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from fvrec.rl.features import FEATURES

_START_SHARPNESS = 20.0
GATE = 0.02
"""Lambda + mu at which a list's learned residual is half open."""
_AT = {name: column for column, name in enumerate(FEATURES)}


@dataclass(frozen=True)
class PolicyConfig:
    """Shape of the network. gated: whether the residual of a list fades with lambda and mu (see ``SetNetwork``)."""

    hidden: int = 32
    gated: bool = True


class SetNetwork(nn.Module):
    """``[B, N, F]`` -> logits ``[B, N]`` and value ``[B]``; any ``N``.

    Each candidate goes through the same layers and sees the others only as their mean and maximum, over those still
    available: permuting candidates permutes the logits and leaves the value (Deep Sets, Zaheer et al., 2017). Logits
    are a sharpness times the marginal gain of a candidate as the features state it, plus a learned residual that
    starts at zero: before training the policy is the greedy one. In the list of a gated network the residual fades to
    nothing as lambda and mu do: with both at 0 the order is that of relevance.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        hidden, self.gated = config.hidden, config.gated
        self.embed = nn.Sequential(nn.Linear(len(FEATURES), hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.context = nn.Linear(2 * hidden, hidden)
        self.residual = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), _zero_linear(hidden))
        self.value = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), _zero_linear(hidden))
        self.log_sharpness = nn.Parameter(torch.tensor(float(np.log(_START_SHARPNESS))))

    def forward(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        gains, context = self.gains(candidates)
        return self.log_sharpness.exp() * gains, self.value(context).squeeze(-1)

    def gains(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """What each candidate adds to the list's reward, by the policy ``[B, N]``; the pool's context ``[B, H]``."""
        available = candidates[..., _AT["available"]].unsqueeze(-1)  # [B, N, 1]
        embedded = self.embed(candidates)  # [B, N, H]
        # ReLU outputs are never negative: zero stands for "not available" in the sum and in the maximum.
        kept = embedded * available
        mean = kept.sum(dim=1) / available.sum(dim=1).clamp(min=1.0)
        context = self.context(torch.cat([mean, kept.amax(dim=1)], dim=-1))  # [B, H]
        residual = self.residual(embedded + context.unsqueeze(1)).squeeze(-1)
        if not self.gated:
            return candidates[..., _AT["gain"]] + residual, context
        weight = candidates[..., _AT["redundancy_weight"]] + candidates[..., _AT["novelty_weight"]]
        gate = torch.maximum(weight / (weight + GATE), candidates[..., _AT["feed"]])
        return candidates[..., _AT["gain"]] + gate * residual, context


def _zero_linear(width: int) -> nn.Linear:
    layer = nn.Linear(width, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class SetExtractor(BaseFeaturesExtractor):
    """The whole network in the place where SB3 expects a features extractor: ``[B, N, F]`` -> ``[B, N + 1]``."""

    def __init__(self, observation_space: spaces.Box, config: PolicyConfig) -> None:
        super().__init__(observation_space, features_dim=observation_space.shape[0] + 1)
        self.network = SetNetwork(config)

    def forward(self, observations: Tensor) -> Tensor:
        logits, value = self.network(observations)
        return torch.cat([logits, value.unsqueeze(-1)], dim=-1)


class _Columns(nn.Module):
    """A slice of the last dimension: SB3 wants modules for action and value heads, and the network has both made."""

    def __init__(self, start: int | None, stop: int | None) -> None:
        super().__init__()
        self._slice = slice(start, stop)

    def forward(self, features: Tensor) -> Tensor:
        return features[..., self._slice]


class SetPolicy(MaskableActorCriticPolicy):
    """A MaskablePPO policy whose actor and critic are one ``SetNetwork``."""

    def __init__(self, *args: Any, config: PolicyConfig, **kwargs: Any) -> None:
        kwargs |= {
            "net_arch": [],
            "ortho_init": False,
            "features_extractor_class": SetExtractor,
            "features_extractor_kwargs": {"config": config},
        }
        super().__init__(*args, **kwargs)

    @property
    def network(self) -> SetNetwork:
        return cast(SetNetwork, self.features_extractor.network)

    def _build(self, lr_schedule: Schedule) -> None:
        self._build_mlp_extractor()
        self.action_net = _Columns(None, -1)
        self.value_net = _Columns(-1, None)  # type: ignore[assignment]
        make_optimizer: Any = self.optimizer_class
        self.optimizer = make_optimizer(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)
