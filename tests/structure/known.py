"""What does not keep the rules yet. Exact: whoever mends one takes it out, and nobody adds one."""

# Folders of more than fifteen modules.
CROWDED: set[str] = set()

# Names of more than one module.
TWICE: set[str] = set()

# Modules without tests by their name.
UNTESTED: set[str] = {
    "agents/search/search.py",
    "agents/strategies/agents/a2c.py",
    "agents/strategies/agents/ddpg.py",
    "agents/strategies/agents/dqn.py",
    "agents/strategies/agents/learning.py",
    "agents/strategies/agents/ppo.py",
    "agents/strategies/agents/recurrent_ppo.py",
    "agents/strategies/agents/reproducible.py",
    "agents/strategies/agents/sac.py",
    "agents/strategies/agents/td3.py",
    "agents/strategies/baselines/energy.py",
    "agents/strategies/baselines/evolution.py",
    "agents/strategies/baselines/knapsack.py",
    "agents/strategies/baselines/nsga2.py",
    "agents/strategies/baselines/random.py",
    "agents/strategies/baselines/sensitivity.py",
    "agents/strategies/baselines/studies.py",
    "agents/strategies/baselines/tpe.py",
    "agents/strategies/model_based/model_search.py",
    "agents/strategies/model_based/move_features.py",
    "agents/strategies/model_based/move_policy.py",
    "agents/strategies/starts.py",
    "shrinkml/measure/timed_process.py",
}

# Sources with a docstring that opens with a question.
ASKING: set[str] = set()

# Sources that name a family of models outside its place.
NAMING_FAMILIES: set[str] = set()

# Sources that name a form of a weight outside its place.
NAMING_FORMS: set[str] = set()

# Sources that name a type of layer outside its place.
NAMING_LAYERS: set[str] = set()
