-- What must be made anew of one vintage alone, as when its boundaries were loaded; null: of all.
ALTER TABLE changed_validity ADD COLUMN vintage integer;
ALTER TABLE area_mark ADD COLUMN vintage integer;
