// While a rule is typed: what weights come to, and that hours go on until the next day.
(() => {
  "use strict";
  const form = document.getElementById("rule");
  const say = () => {
    const rows = [...form.querySelectorAll("[data-use]")];
    const weights = rows.map((row) => row.querySelector("select").value ? parseInt(row.querySelector("[name=weight]").value, 10) || 0 : 0);
    const total = weights.reduce((sum, one) => sum + one, 0);
    rows.forEach((row, number) => {
      const percent = row.querySelector("[data-percent]");
      if (percent) percent.textContent = total && weights[number] ? percent.dataset.percent.replace("{n}", Math.round(100 * weights[number] / total)) : "";
    });
    form.querySelectorAll("[data-next-day]").forEach((words) => {
      const [first, last] = [...words.parentElement.querySelectorAll("input")].map((one) => one.value);
      words.textContent = first && last && last < first && last !== "00:00" ? words.dataset.words : "";
    });
  };
  form.addEventListener("input", say);
  say();
})();
