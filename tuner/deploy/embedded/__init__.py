"""The embedded engine: llama.cpp's HTTP server from a wheel, and a random-weight model made on the spot."""
