"""Speech in: audio, features, manifests, text, scoring, and the synthetic and real reference tasks."""
