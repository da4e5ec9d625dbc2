"""Conversations, with the loss on answers only."""
