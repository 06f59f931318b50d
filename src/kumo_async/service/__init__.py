"""The Kumo data plane over HTTP: its calls, its part storage, and what each of its answers means."""
