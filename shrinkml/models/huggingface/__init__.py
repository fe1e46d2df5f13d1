"""The families of speech-to-text models that `transformers` opens."""
