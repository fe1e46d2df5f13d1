// Plans that a job has judged: the front among them, the best, and what becomes of each layer.

/** Return an event of the kind "evaluated", or a candidate, as a plan. */
export function planOf(stage, { wer, parameters, ...data }) {
  return {
    stage,
    wer,
    parameters,
    ratio: data.compression_ratio ?? null,
    strategy: data.strategy ?? "",
    seed: data.seed ?? null,
    fits: data.within_budget ?? true, // workers of an older version do not tell
    whole: (data.heard ?? 1) === 1, // otherwise its WER is an estimate
    choices: data.plan ?? {},
  };
}

/** Return the candidates that the API lists as plans. */
export const plansOf = (candidates) => candidates.items.map((item) => planOf(item.stage, { ...item.data, ...item }));

/** Return the plans that no other one beats in both WER and size, the smallest first. */
export function frontOf(plans) {
  const front = [];
  for (const plan of plans.filter((p) => p.whole).sort((a, b) => a.parameters - b.parameters || a.wer - b.wer)) {
    if (!front.length || plan.wer < front.at(-1).wer) front.push(plan);
  }
  return front;
}

/** Return the best plan so far: the lowest WER among those inside the budget of the newest step; null where none is.
 *
 * Each step's budget is tighter than the one before, so the smallest plan inside its budget is of the newest.
 */
export function bestOf(plans) {
  const inside = plans.filter((plan) => plan.whole && plan.fits);
  if (!inside.length) return null;
  const newest = least(inside, (plan) => plan.parameters).stage;
  return least(inside.filter((plan) => plan.stage === newest), (plan) => plan.wer);
}

/** Return the layers of a plan: name, choice, and the rank that a bar shows. */
export function layersOf(plan) {
  return Object.entries(plan.choices).map(([name, chosen]) => {
    const choice = typeof chosen === "number" ? { rank: chosen } : chosen;
    return { name, choice, rank: choice.rank ?? null, most: null };
  });
}

/** Return the layers of a report, each with the rank up to which it saves weights. */
export function layersOfReport(report) {
  return report.layers.map((row) => ({ name: row.name, choice: row, rank: row.rank, most: row.break_even_rank }));
}

const least = (items, key) => items.reduce((a, b) => (key(b) < key(a) ? b : a));
