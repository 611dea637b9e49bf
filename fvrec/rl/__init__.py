"""List-level reranking by reinforcement learning (project plan, section 10): users, environment, policy, evaluation.

Order of use: ``items`` (what is true and what is predicted of each item) -> ``users`` (who wants what) -> ``requests``
(one user meets one pool) -> ``env`` and ``vec_env`` -> ``policy`` and ``train`` -> ``artifact`` -> ``evaluate``.
"""
