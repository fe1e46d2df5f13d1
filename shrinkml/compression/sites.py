"""The sites of a model: where it holds matrices that can be compressed, what they cost, and their present choices."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from torch import nn

from shrinkml.layers.adapters import ADAPTERS, why_kept
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost
from shrinkml.plan.layer_spec import Feed, LayerKind, LayerSpec
from shrinkml.plan.model_cost import ModelCost
from shrinkml.weights.form import Form, floats_of
from shrinkml.weights.forms import get_form, get_parameters, holding

Pairs = Mapping[str, str]  # a layer whose units may be cut -> its follower: the layer that multiplies them
NO_PAIRS: Pairs = MappingProxyType({})


class WiredPairs(dict[str, str]):
    """Pairs of which some are of recurrent layers, whose units others multiply, too.

    Attributes:
        feeds: matrix -> its columns that such units feed.
        why_not: input matrix of a recurrent layer whose units cannot be cut -> the reason.
    """

    def __init__(
        self, pairs: Pairs, feeds: Mapping[str, tuple[Feed, ...]], why_not: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(pairs)
        self.feeds = feeds
        self.why_not = why_not or {}

    def without(self, left: Collection[str]) -> "WiredPairs":
        """The pairs that change no layer that is `left`, neither of their own nor one that multiplies their units."""
        kept_whole = {feed.layer: name for name in left for feed in self.feeds.get(name, ())}
        kept_whole |= {first: name for first, second in self.items() for name in (first, second) if name in left}
        pairs = {first: second for first, second in self.items() if first not in kept_whole}
        fed = {name: tuple(it for it in feeds if it.layer in pairs) for name, feeds in self.feeds.items()}
        why_not = {first: f"{name} is asked to be left as it is" for first, name in kept_whole.items()}
        return WiredPairs(pairs, {name: feeds for name, feeds in fed.items() if feeds}, {**self.why_not, **why_not})

    @property
    def factorized(self) -> "WiredPairs":
        """Those of linear layers alone, with the same feeds: of the recurrent ones the matrices are for themselves."""
        return WiredPairs(sharing(self), self.feeds, self.why_not)


def sharing(pairs: Pairs) -> Pairs:
    """Those of `pairs` that are not of a recurrent layer: one decomposition is for both of them."""
    recurrent = (
        {feed.layer for feeds in pairs.feeds.values() for feed in feeds} if isinstance(pairs, WiredPairs) else ()
    )
    return {first: second for first, second in pairs.items() if first not in recurrent}


@dataclass(frozen=True, slots=True)
class Site:
    """One place where a module holds a matrix that can be compressed.

    Attributes:
        layer: name of the layer: dotted path of its (first) dense weight in the model's state.
        kind: where the matrix stands.
        path: dotted path of the module ("" for the model itself).
        module: the module.
        name: the matrix in its module ("weight_ih_l0").
    """

    layer: str
    kind: LayerKind
    path: str
    module: nn.Module
    name: str

    @property
    def form(self) -> Form:
        """The matrix, in the form in which the module holds it."""
        return get_form(self.module, self.name)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the dense matrix, with all of its units."""
        return holding(self.module, self.name).shape

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters in which it is stored."""
        return get_parameters(self.module, self.name)

    @property
    def cuts_units(self) -> bool:
        """True where its rows or columns may be cut."""
        return ADAPTERS[type(self.module)].cuts_units

    @property
    def gates(self) -> int:
        """Rows for each unit of a recurrent layer; 0 of other layers."""
        return ADAPTERS[type(self.module)].gates

    @property
    def bias(self) -> str | None:
        """The name in its module of what is added to the products with the matrix alone; None where nothing is."""
        name = self.name.replace("weight", "bias", 1)
        return name if isinstance(getattr(self.module, name, None), nn.Parameter) else None

    def spec(self, calls_per_s: float = 0.0, bits: int | None = None) -> LayerSpec:
        """The layer's record, with its dense shape, and weights of so many bits; of those that they have, if absent."""
        bits = bits or 8 * floats_of(self.form).element_size()
        biases = self.shape[0] if (self.cuts_units or self.gates) and self.bias is not None else 0
        return LayerSpec(self.layer, self.kind, *self.shape, calls_per_s, bits, biases, gates=max(1, self.gates))


def find_sites(model: nn.Module) -> list[Site]:
    """Every place that holds a matrix that can be compressed, in the order in which the modules are registered.

    Places that share one matrix (tied weights) carry the same layer name. Left out are subclasses of torch's layers,
    whose owners may read the weight on their own terms, layers that their owners changed (`shrinkml.additions`), and
    weights tied to something that cannot be factorized.
    """
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    found: dict[int, list[Site]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        adapter = ADAPTERS.get(type(module))
        for name, kind in () if adapter is None or why_kept(module) else adapter.matrices(module):
            same = found.setdefault(id(get_parameters(module, name)[0]), [])
            layer = same[0].layer if same else f"{path}.{name}".lstrip(".")
            same.append(Site(layer, kind, path, module, name))
    return [site for identity, same in found.items() if uses[identity] == len(same) for site in same]


def sites_by_module(model: nn.Module) -> dict[nn.Module, list[Site]]:
    """The sites of each module of `model` that has any."""
    found: dict[nn.Module, list[Site]] = {}
    for site in find_sites(model):
        found.setdefault(site.module, []).append(site)
    return found


def sites_by_layer(model: nn.Module) -> dict[str, Site]:
    """The first site of each layer of `model`, by the layer's name."""
    found: dict[str, Site] = {}
    for site in find_sites(model):
        found.setdefault(site.layer, site)
    return found


def find_layers(
    model: nn.Module,
    calls_per_s: Mapping[str, float] | None = None,
    *,
    bits: int | None = None,
    pairs: Pairs = NO_PAIRS,
) -> tuple[LayerSpec, ...]:
    """The matrices of `model` that can be compressed in the order of its modules, tied ones once, with dense shapes.

    Args:
        model: any module; compressed layers count like the dense ones that they replaced.
        calls_per_s: layer name -> products per second of audio, where measured.
        bits: of each weight in checkpoints, where no choice rounds it; as in memory, if absent.
        pairs: layers whose units may be cut -> their followers (`shrinkml.compression.unit_pairs`).
    """
    calls = calls_per_s or {}
    specs = (site.spec(calls.get(name, 0.0), bits) for name, site in sites_by_layer(model).items())
    feeds = pairs.feeds if isinstance(pairs, WiredPairs) else {}
    return tuple(replace(it, follower=pairs.get(it.name), fed_by=feeds.get(it.name, ())) for it in specs)


def current_plan(model: nn.Module) -> CompressionPlan:
    """The choices under which `model` holds its matrices now."""
    return CompressionPlan({name: site.form.choice for name, site in sites_by_layer(model).items()})


def model_cost(
    model: nn.Module,
    calls_per_s: Mapping[str, float] | None = None,
    *,
    bits: int | None = None,
    pairs: Pairs = NO_PAIRS,
) -> ModelCost:
    """The cost of `model` under any plan: its layers, and the cost of the parameters that are in none.

    Args:
        model: any module; compressed layers count like the dense ones that they replaced.
        calls_per_s: layer name -> products per second of audio, where measured.
        bits: of each weight in checkpoints, where no choice rounds it; as in memory, if absent.
        pairs: see `find_layers`.

    Raises:
        PlanError: nothing can be compressed.
    """
    others, present = _cost_of_others(model), current_plan(model)
    if bits is not None:
        others = replace(others, bytes=others.parameters * bits // 8)
    layers = find_layers(model, calls_per_s, bits=bits, pairs=pairs)
    return ModelCost(layers, sum((layer.cut_biases(present.choice(layer.name)) for layer in layers), others))


def present_cost(model: nn.Module) -> Cost:
    """The cost of `model` as it is, tied matrices once."""
    return sum((site.form.cost() for site in sites_by_layer(model).values()), _cost_of_others(model))


def _cost_of_others(model: nn.Module) -> Cost:
    """The cost of the parameters that are in no layer."""
    in_layers = {id(part) for site in find_sites(model) for part in site.parameters}
    others = [parameter for parameter in model.parameters() if id(parameter) not in in_layers]
    return Cost(sum(parameter.numel() for parameter in others), sum(parameter.nbytes for parameter in others))
