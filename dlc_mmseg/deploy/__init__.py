"""From a trained model to what a user ships."""
