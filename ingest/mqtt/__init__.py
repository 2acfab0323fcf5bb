"""A broker and back: the only folder that knows paho."""
