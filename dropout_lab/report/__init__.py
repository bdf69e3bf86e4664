"""A study told: findings in sentences, one table in every form, a page that stands alone."""
