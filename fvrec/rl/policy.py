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
_LEAST_SPREAD = 1e-4
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
        self.critic = Critic(hidden)
        self.log_sharpness = nn.Parameter(torch.tensor(float(np.log(_START_SHARPNESS))))
        self.register_buffer("center", torch.zeros(len(FEATURES)))
        self.register_buffer("spread", torch.ones(len(FEATURES)))

    def scale_inputs(self, observations: Tensor) -> None:
        """Bring every column of ``[..., F]`` like these to mean 0 and deviation 1; constant ones stay as they are."""
        rows = observations.flatten(0, -2)
        spread = rows.std(dim=0)
        varies = spread > _LEAST_SPREAD
        self.get_buffer("center").copy_(torch.where(varies, rows.mean(dim=0), 0.0))
        self.get_buffer("spread").copy_(torch.where(varies, spread, 1.0))

    def forward(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        return self.log_sharpness.exp() * self.gains(candidates), self.critic(self._scaled(candidates), candidates)

    def gains(self, candidates: Tensor) -> Tensor:
        """``[B, N]``: what each candidate adds to the list's reward, by the policy."""
        available = candidates[..., _AT["available"]].unsqueeze(-1)  # [B, N, 1]
        embedded = self.embed(self._scaled(candidates))  # [B, N, H]
        context = self.context(_pooled(embedded, available))  # [B, H]
        residual = self.residual(embedded + context.unsqueeze(1)).squeeze(-1)
        if not self.gated:
            return candidates[..., _AT["gain"]] + residual
        weight = candidates[..., _AT["redundancy_weight"]] + candidates[..., _AT["novelty_weight"]]
        gate = torch.maximum(weight / (weight + GATE), candidates[..., _AT["feed"]])
        return candidates[..., _AT["gain"]] + gate * residual

    def _scaled(self, candidates: Tensor) -> Tensor:
        return (candidates - self.get_buffer("center")) / self.get_buffer("spread")


class Critic(nn.Module):
    """``[B, N, F]``, scaled and as it is -> value ``[B]``.

    Its layers are its own: fitting returns must not move what the actor reads.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(len(FEATURES), hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.value = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), _zero_linear(hidden))

    def forward(self, scaled: Tensor, candidates: Tensor) -> Tensor:
        available = candidates[..., _AT["available"]].unsqueeze(-1)
        return cast(Tensor, self.value(_pooled(self.embed(scaled), available))).squeeze(-1)


def _pooled(embedded: Tensor, available: Tensor) -> Tensor:
    """``[B, 2 H]``: mean and maximum over the available, of what is never negative: zero stands for the others."""
    kept = embedded * available
    return torch.cat([kept.sum(dim=1) / available.sum(dim=1).clamp(min=1.0), kept.amax(dim=1)], dim=-1)


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
