"""Faces: find them, follow one of them, and say where its 478 points are in every frame."""
