"""Figures and the page, drawn from result files only."""
