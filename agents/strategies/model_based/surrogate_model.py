"""A model of the word losses of plans: those of single options, added up, corrected by every plan judged so far.

It predicts the logarithm of the word loss (`envs.word_loss`), a scale on which a factor that the sum is off by
is an addition. What the sum leaves over is a Gaussian process (Rasmussen and Williams 2006, Gaussian Processes for
Machine Learning, equations 2.25, 2.26 and 2.30): linear in the share that each layer has in the loss, which to first
order corrects each layer's curve by a factor of its own, and, for what layers do to each other, smooth in the
logarithms of the weights that they keep. Several such processes, from stiff to supple, form an ensemble, weighted by
how probable each makes the plans judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
import numpy.typing as npt

from envs.batch_modules import Ints
from envs.budget import Budget
from envs.decision import PerOption
from envs.word_loss import LEAST_WORD_LOSS

Floats = npt.NDArray[np.float64]

OFFSET_SIGMA = 1.0  # of the logarithm of the factor that the sum of the losses is off by
SLOPE_SIGMA = 0.5  # of how much faster or slower than their sum the losses of layers grow together
CURVE_SIGMA = 0.7  # of the logarithm of the factor that one layer's curve is off by
LENGTHS = (1.0, 3.0)  # in the logarithms of weights: all layers together move this far before correlation fades
AMPLITUDES = (0.05, 0.3)  # of the smooth part
NOISES = (0.02, 0.1)  # of the logarithm of a measured word loss
N_MEMBERS = 3  # the most probable of all combinations


@dataclass(frozen=True, slots=True)
class Features:
    """The features of plans that the model sees.

    Attributes:
        losses: [n_layers, longest menu] of each option alone, in the magnitude of word losses (nats per utterance).
        kept: [n_layers, longest menu] logarithms of the share of its weights that a layer keeps.
    """

    losses: Floats
    kept: Floats

    @classmethod
    def of(cls, budget: Budget, losses: PerOption) -> Self:
        """Of the plans of `budget`, by the loss of each option."""
        table = np.zeros((2, len(losses), max(map(len, losses))))
        for layer, (row, prices) in enumerate(zip(losses, budget.weights, strict=True)):
            table[:, layer, : len(row)] = row, np.log(np.asarray(prices) / prices[-1])
        return cls(table[0], table[1])

    def prior(self, entries: Ints) -> Floats:
        """[n] logarithm of the sum of losses of each row of `entries` [n, n_layers]."""
        prior: Floats = np.log(self._losses_at(entries).sum(axis=1) + LEAST_WORD_LOSS)
        return prior

    def linear(self, entries: Ints, centre: float) -> Floats:
        """[n, 2 + n_layers] what the correction is linear in, scaled by how far it may go.

        Args:
            entries: [n, n_layers] menu indices.
            centre: a prior at which the sum of losses is corrected by a factor alone.
        """
        prior = self.prior(entries)
        shares = self._losses_at(entries) / np.exp(prior)[:, None]
        offset = np.full(len(entries), OFFSET_SIGMA)
        return np.column_stack([offset, SLOPE_SIGMA * (prior - centre), CURVE_SIGMA * shares])

    def place(self, entries: Ints) -> Floats:
        """[n, n_layers] where each row of `entries` lies, for the smooth part."""
        place: Floats = self.kept[np.arange(len(self.kept)), entries]
        return place

    def _losses_at(self, entries: Ints) -> Floats:
        losses: Floats = self.losses[np.arange(len(self.losses)), entries]
        return losses


@dataclass(frozen=True, slots=True)
class Member:
    """One Gaussian process.

    Attributes:
        length: over which its smooth part varies.
        amplitude: of its smooth part.
        evidence: logarithm of the probability that it gives to what was judged, but for a constant.
        precision: [n_judged, n_judged] inverse of the covariance of what was judged, noise included.
        weights: [n_judged] of what was judged, in the mean.
    """

    length: float
    amplitude: float
    evidence: float
    precision: Floats
    weights: Floats

    @classmethod
    def fit(
        cls, gram: Floats, squares: Floats, residual: Floats, *, length: float, amplitude: float, noise: float
    ) -> Self:
        """Condition a process on what was judged.

        Args:
            gram: [n_judged, n_judged] products of linear features.
            squares: [n_judged, n_judged] squared distances between places.
            residual: [n_judged] what the prior leaves over.
            length: see the class.
            amplitude: see the class.
            noise: standard deviation of `residual`.
        """
        covariance = _covariance(gram, squares, length, amplitude) + noise**2 * np.eye(len(gram))
        precision: Floats = np.linalg.inv(covariance).astype(np.float64, copy=False)
        weights = precision @ residual
        evidence = -0.5 * float(residual @ weights) - 0.5 * float(np.linalg.slogdet(covariance)[1])
        return cls(length, amplitude, evidence, precision, weights)

    def cross(self, gram: Floats, squares: Floats) -> Floats:
        """[n, n_judged] covariance with what was judged, from products with and squared distances to it, as large."""
        return _covariance(gram, squares, self.length, self.amplitude)

    def mean(self, cross: Floats) -> Floats:
        """[n] of the residual."""
        mean: Floats = cross @ self.weights
        return mean

    def variance(self, cross: Floats, own: Floats) -> Floats:
        """[n] of the residual; `own` [n] are products of the linear features with themselves."""
        known = ((cross @ self.precision) * cross).sum(axis=1)
        variance: Floats = np.maximum(own + self.amplitude**2 - known, 0.0)
        return variance


@dataclass(frozen=True, slots=True)
class SurrogateModel:
    """The ensemble, fitted.

    Attributes:
        features: what it sees of plans.
        judged: [n_judged, n_layers] entries of the plans that it was fitted to.
        centre: mean prior of those.
        members: the most probable processes.
    """

    features: Features
    judged: Ints
    centre: float
    members: tuple[Member, ...]

    @classmethod
    def fit(cls, features: Features, judged: Ints, word_losses: Floats) -> Self:
        """Fit the ensemble to the `word_losses` [n_judged] of the plans `judged` [n_judged, n_layers]; at least one."""
        prior = features.prior(judged)
        centre = float(prior.mean())
        linear, place = features.linear(judged, centre), features.place(judged)
        gram, squares = linear @ linear.T, _squared_distances(place, place)
        residual = np.log(word_losses + LEAST_WORD_LOSS) - prior
        members = [
            Member.fit(gram, squares, residual, length=length, amplitude=amplitude, noise=noise)
            for length, amplitude, noise in product(LENGTHS, AMPLITUDES, NOISES)
        ]
        members.sort(key=lambda member: -member.evidence)
        return cls(features, judged, centre, tuple(members[:N_MEMBERS]))

    def predict(self, entries: Ints) -> tuple[Floats, Floats]:
        """[n] mean and [n] standard deviation of the logarithm of the word loss of each row of `entries` [n, n_layers].

        The deviation holds what each member does not know and what they disagree about.
        """
        linear = self.features.linear(entries, self.centre)
        own, crosses = (linear**2).sum(axis=1), self._crosses(entries, linear)
        means = self._means(crosses)
        variances = [member.variance(cross, own) for member, cross in zip(self.members, crosses, strict=True)]
        mean = self._shares @ means
        return self.features.prior(entries) + mean, np.sqrt(self._shares @ (variances + (means - mean) ** 2))

    def mean(self, entries: Ints) -> Floats:
        """The first half of `predict`, at a part of the cost."""
        crosses = self._crosses(entries, self.features.linear(entries, self.centre))
        mean: Floats = self.features.prior(entries) + self._shares @ self._means(crosses)
        return mean

    def _crosses(self, entries: Ints, linear: Floats) -> list[Floats]:
        gram = linear @ self.features.linear(self.judged, self.centre).T
        squares = _squared_distances(self.features.place(entries), self.features.place(self.judged))
        return [member.cross(gram, squares) for member in self.members]

    def _means(self, crosses: Sequence[Floats]) -> Floats:
        return np.array([member.mean(cross) for member, cross in zip(self.members, crosses, strict=True)])

    @property
    def _shares(self) -> Floats:
        """[n_members] their probabilities."""
        shares: Floats = np.exp([member.evidence - self.members[0].evidence for member in self.members])
        shares /= shares.sum()
        return shares


def _covariance(gram: Floats, squares: Floats, length: float, amplitude: float) -> Floats:
    return gram + amplitude**2 * np.exp(-0.5 * squares / length**2)


def _squared_distances(a: Floats, b: Floats) -> Floats:
    squares: Floats = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return np.maximum(squares, 0.0)
