"""The compiled LSTM recurrence, and what runs where it cannot."""
