"""What several adapters stand on. No adapter imports another; they may all import this."""
