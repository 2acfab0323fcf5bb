-- Readings that the hub itself refused are published again on its own topics, which alone take those of every source. A
-- letter of that topic with another source than the topic's is one of them: what a stranger sent there has the topic's.
UPDATE dead_letter SET topic = 'stadspuls/hub/refused'
WHERE topic = 'stadspuls/stadspuls/refused' AND source <> 'stadspuls';
