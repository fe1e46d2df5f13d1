"""Soft actor-critic on continuous actions (Haarnoja et al. 2018, arXiv:1801.01290), as Stable-Baselines3's SAC.

Starts from the best cheap plan and deviates from the best plan so far, as `agents.strategies.ppo` does. Its settings
were chosen for the reasons given, not tuned.
"""

from agents.strategies.baselines import judge_baselines
from agents.strategies.recorder import Recorder
from agents.strategy import OnTrial, SearchResult
from envs.problem import PlanEvaluator, RankProblem
from envs.rank_env import ContinuousRankEnv
from envs.rewards import REWARDS
from shrinkml.events import ShouldStop
from shrinkml.tables import look_up

LEARNING_RATE = 1e-3  # about three times the default: few updates
BUFFER_SIZE = 100_000  # steps; all of a search of a few thousand episodes
BATCH_SIZE = 128
GRADIENT_STEPS = 4  # after each episode; one per step, as usual, would take longer than judging a plan does
GAMMA = 1.0  # every layer counts the same, wherever it stands
ENT_COEF = (
    "auto_0.001"  # rewards of good plans differ by about 0.01, so entropy must not start at SAC's usual weight of 1
)
TARGET_ENTROPY = 0.3  # nats, of at most log 2: the usual -1 would mean hardly ever to move a layer
HIDDEN_UNITS = 64


def sac(
    problem: RankProblem,
    evaluate: PlanEvaluator,
    *,
    reward: str,
    evaluations: int,
    seed: int,
    on_trial: OnTrial,
    should_stop: ShouldStop,
) -> SearchResult:
    """Learns how far to raise or lower each layer; see `agents.strategy.Strategy`."""
    # Imported here, so that the table of strategies loads without torch.
    from stable_baselines3 import SAC

    from agents.strategies.learning import learn

    score = look_up(REWARDS, reward, kind="reward")
    recorder = Recorder(problem, evaluate, evaluations=evaluations, on_trial=on_trial, should_stop=should_stop)
    judge_baselines(recorder, problem)
    if recorder.finished:
        return recorder.result("sac", seed)
    env = ContinuousRankEnv(problem, recorder, reward=score, reference=lambda: recorder.best.plan)

    def make_agent(agent_seed: int) -> SAC:
        return SAC(
            "MlpPolicy",
            env,
            learning_rate=LEARNING_RATE,
            buffer_size=BUFFER_SIZE,
            learning_starts=len(problem.cost.layers),
            batch_size=BATCH_SIZE,
            gamma=GAMMA,
            train_freq=(1, "episode"),
            gradient_steps=GRADIENT_STEPS,
            ent_coef=ENT_COEF,
            target_entropy=TARGET_ENTROPY,
            policy_kwargs={"net_arch": [HIDDEN_UNITS]},
            seed=agent_seed,
            device="cpu",
        )

    learn(make_agent, recorder, seed=seed)
    return recorder.result("sac", seed)
