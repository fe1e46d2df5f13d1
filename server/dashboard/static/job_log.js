// What a job's events tell, gathered: the plans, the stages, the original, the last progress.

import { planOf } from "./plans.js";

/** The log of a job as far as it came. */
export class JobLog {
  plans = [];
  stages = new Map(); // name -> {name, from, until, seconds of work}
  original = null; // as measured on the proxy set
  progress = null;

  /** Take one more event in. */
  add({ kind, stage, at, data, progress }) {
    this.progress = progress ?? this.progress;
    if (kind === "evaluated") this.plans.push(planOf(stage, data));
    if (kind === "stage_started") this.stages.set(stage, { name: stage, from: at, until: null, seconds: null });
    if (kind === "stage_finished") {
      const started = this.stages.get(stage);
      this.stages.set(stage, { name: stage, from: started?.from ?? at, until: at, seconds: data.seconds ?? null });
      if (data.proxy) this.original = data.proxy;
    }
  }

  /** The parameters of the original: measured, or as a plan's ratio tells. */
  get parameters() {
    const plan = this.plans.find((one) => one.ratio);
    return this.original?.parameters ?? (plan ? plan.ratio * plan.parameters : null);
  }

  /** The parameters that a job with `goal` wants to reach; null where it counts something else, or nobody knows yet. */
  wanted(goal) {
    return !goal.resource && this.parameters ? this.parameters / goal.compression_ratio : null; // absent: parameters
  }
}
