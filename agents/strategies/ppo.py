"""Proximal policy optimization with masked actions, as sb3-contrib's MaskablePPO.

The agent starts from the best cheap plan, and every episode deviates from the best plan so far; with absolute actions
it found less in as many evaluations. The settings were compared on `envs.toys.recogniser` (four compression ratios,
three to five seeds, 150 evaluations, 3 % noise), where most of their differences are within the noise: up to that
number, proposing near the best plan gives most of the gain, and what the policy learns beyond that little.

References:
    Schulman et al. 2017, Proximal Policy Optimization Algorithms, arXiv:1707.06347.
    Huang and Ontanon 2020, A Closer Look at Invalid Action Masking in Policy Gradient Algorithms, arXiv:2006.14171.
"""

from agents.strategies.baselines import judge_baselines
from agents.strategies.recorder import Recorder
from agents.strategy import OnTrial, SearchResult
from envs.problem import PlanEvaluator, RankProblem
from envs.rank_env import REACH, RankEnv
from envs.rewards import REWARDS
from shrinkml.events import ShouldStop
from shrinkml.tables import look_up

EPISODES_PER_UPDATE = 8  # 4 was worse, 16 no better
N_EPOCHS = 10  # Stable-Baselines3's default
GAMMA = 1.0  # every layer counts the same, wherever it stands
GAE_LAMBDA = 1.0  # the reward comes once, at the end: a young value net is no better guide than the return itself
LEARNING_RATE = 3e-3  # ten times the default, for a tenth of the usual updates; 1e-2 was no better
ENT_COEF = 0.01  # without it the policy can settle on the reference and propose nothing new
HIDDEN_UNITS = 32
FIRST_KEEP = 0.75  # probability with which the first policy leaves a layer alone: evolution's mutation rate


def ppo(
    problem: RankProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    on_trial: OnTrial,
    should_stop: ShouldStop,
) -> SearchResult:
    """Learns which layers to raise and which to lower; see `agents.strategy.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from sb3_contrib import MaskablePPO

    from agents.strategies.learning import learn, prefer_action_

    score = look_up(REWARDS, reward, kind="reward")
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    judge_baselines(recorder, problem)
    if recorder.finished:
        return recorder.result("ppo", seed)
    env = RankEnv(problem, recorder, reward=score, reference=lambda: recorder.best.plan)
    n_steps = EPISODES_PER_UPDATE * len(problem.cost.layers)

    def make_agent(agent_seed: int) -> MaskablePPO:
        agent = MaskablePPO(
            "MlpPolicy",
            env,
            learning_rate=LEARNING_RATE,
            n_steps=n_steps,
            batch_size=n_steps,
            n_epochs=N_EPOCHS,
            gamma=GAMMA,
            gae_lambda=GAE_LAMBDA,
            ent_coef=ENT_COEF,
            policy_kwargs={"net_arch": [HIDDEN_UNITS]},
            seed=agent_seed,
            device="cpu",
        )
        prefer_action_(agent.policy.action_net, REACH, FIRST_KEEP)
        return agent

    learn(make_agent, recorder, seed=seed)
    return recorder.result("ppo", seed)
