"""What a team starts from: a project's layout, a model's folder, a dataset's contract and suite."""
