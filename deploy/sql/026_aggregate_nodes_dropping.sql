-- A node that is active no more loses its members and profiles in steps, by profile, behind made_to: no transaction can hold millions
-- of them. One that becomes active again meanwhile loses them all before it is built.
ALTER TABLE aggregate_nodes ADD COLUMN dropping boolean NOT NULL DEFAULT false;
