"""The set policy: one shared network scores every candidate; MaskablePPO trains it, a Ranker serves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from fvrec.rerank.pool import Pool, check_list_length
from fvrec.rl.features import FEATURES, ListFeatures
from fvrec.rl.reward import RewardConfig

_START_SHARPNESS = 20.0


@dataclass(frozen=True)
class PolicyConfig:
    """Shape of the network, and the reward weights that its marginal gain uses."""

    hidden: int = 64
    reward: RewardConfig = field(default_factory=RewardConfig)


class SetNetwork(nn.Module):
    """``[B, N, F]`` -> logits ``[B, N]`` and value ``[B]``; any ``N``.

    Each candidate goes through the same layers and sees the others only as their mean and maximum, over those still
    available: permuting candidates permutes the logits and leaves the value (Deep Sets, Zaheer et al., 2017). Logits
    are a sharpness times the marginal gain of a candidate as the features estimate it, plus a learned residual that
    starts at zero: before training the policy is the greedy one.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.embed = nn.Sequential(nn.Linear(len(FEATURES), hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.context = nn.Linear(2 * hidden, hidden)
        self.residual = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), _zero_linear(hidden))
        self.value = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), _zero_linear(hidden))
        self.log_sharpness = nn.Parameter(torch.tensor(float(np.log(_START_SHARPNESS))))
        self.register_buffer("gain_weights", _gain_weights(config.reward), persistent=False)

    def forward(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        available = candidates[..., FEATURES.index("available")].unsqueeze(-1)  # [B, N, 1]
        embedded = self.embed(candidates)  # [B, N, H]
        # ReLU outputs are never negative: zero stands for "not available" in the sum and in the maximum.
        kept = embedded * available
        mean = kept.sum(dim=1) / available.sum(dim=1).clamp(min=1.0)
        context = self.context(torch.cat([mean, kept.amax(dim=1)], dim=-1))  # [B, H]
        residual = self.residual(embedded + context.unsqueeze(1)).squeeze(-1)
        gain = candidates @ self.get_buffer("gain_weights")
        return self.log_sharpness.exp() * (gain + residual), self.value(context).squeeze(-1)


def _zero_linear(width: int) -> nn.Linear:
    layer = nn.Linear(width, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _gain_weights(reward: RewardConfig) -> Tensor:
    weights = torch.zeros(len(FEATURES))
    weights[FEATURES.index("discounted_relevance")] = 1.0
    weights[FEATURES.index("max_attribute_similarity")] = -reward.redundancy
    weights[FEATURES.index("new_style")] = reward.novelty / 2
    return weights


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


class PolicyRanker:
    """A network as a Ranker: takes the best available candidate, ``k`` times. No randomness."""

    def __init__(self, network: SetNetwork, name: str = "rl") -> None:
        self.name = name
        self._network = network.eval()

    def rank(self, pool: Pool, k: int) -> NDArray[np.int64]:
        """``k`` distinct indices into the pool, in the order of the list. FvrecError when ``k`` exceeds the pool."""
        check_list_length(pool, k)
        features = ListFeatures([pool], k)
        chosen = np.empty(k, dtype=np.int64)
        for position in range(k):
            chosen[position] = self._best(features)
            features.append(chosen[position : position + 1])
        return chosen

    @torch.no_grad()
    def _best(self, features: ListFeatures) -> int:
        logits, _ = self._network(torch.from_numpy(features.observe()))
        allowed = torch.from_numpy(features.available)
        return int(logits.masked_fill(~allowed, -torch.inf).argmax(dim=-1))


def greedy_ranker(reward: RewardConfig) -> PolicyRanker:
    """The network before any training, which PPO starts from: the largest estimated marginal gain, item by item.

    The gain is the reward's own formula with what a ranker can see in the place of the truth: estimated relevance,
    predicted attributes, and no long-tail term. What training adds is measured against this.
    """
    # Its random layers end in zeros and move no logit: they must not move the caller's random stream either.
    with torch.random.fork_rng(devices=[]):
        return PolicyRanker(SetNetwork(PolicyConfig(reward=reward)), name="greedy")
