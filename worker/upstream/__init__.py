"""From the provider's bytes to pieces of an answer. The openai SDK is known here and nowhere else."""
