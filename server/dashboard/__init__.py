"""The dashboard: pages for people over the public API, plain files without a build."""
