"""The migrations, a file each; each names the one before."""
